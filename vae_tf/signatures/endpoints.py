"""All signatures of each half, and in a sentence why one is missing."""

from vae_tf.data.tables.table import Table
from vae_tf.quiet import quiet
from vae_tf.signatures import codecs, coding, columns, generation, imputation, inference, surprisal
from vae_tf.signatures.densities import Both, densities, log_prob_endpoint
from vae_tf.signatures.endpoint import Endpoint
from vae_tf.signatures.halves import Halves

NO_NOISE = "The posterior has no from_noise, so no draw of it is a function of a seed."
Remarks = dict[str, str]  # signature -> what it lacks
OfPrior = tuple[Both | None, str]


def of_prior(halves: Halves) -> OfPrior:
    """Returns what depends on the prior, as it is and for graphs, or None and why."""
    try:
        with quiet():
            return densities(halves), ""
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        reason = f"The prior has no density to export: {type(error).__name__}: {first_line}"
        return None, reason


def encoder_endpoints(halves: Halves) -> tuple[list[Endpoint], Remarks]:
    """Returns `encode`, `classify`, `sample` and `encode_bytes`, as far as there can be."""
    endpoints, remarks = [coding.encode_endpoint(halves)], Remarks()
    if halves.parts.classifier is not None:
        endpoints.append(coding.classify_endpoint(halves))
    if halves.draws:
        endpoints.append(coding.sample_endpoint(halves))
    else:
        remarks["sample"] = NO_NOISE
    reason = codecs.lacking(halves)
    if reason is None:
        endpoints.append(codecs.encode_bytes_endpoint(halves))
    else:
        remarks["encode_bytes"] = reason
    return endpoints, remarks


def decoder_endpoints(
    halves: Halves, trial: generation.Trial, prior: OfPrior | None = None
) -> tuple[list[Endpoint], Remarks]:
    """Returns `decode`, `generate`, `prior_log_prob`, `generate_png`, as far as there can be.

    Args:
        halves: the model.
        trial: of a signature that not every server may be able to run.
        prior: of `of_prior`, if it is known already.
    """
    decode = coding.decode_endpoint(halves)
    generate, remark = generation.offer(halves, decode, trial)
    remarks = Remarks() if remark is None else Remarks(generate=remark)
    known, reason = of_prior(halves) if prior is None else prior
    log_prob, lacks = log_prob_endpoint(halves, known) if known else (None, reason)
    if lacks is not None:
        remarks["prior_log_prob"] = lacks
    found = [endpoint for endpoint in (decode, generate, log_prob) if endpoint is not None]
    if generate is None:
        return found, remarks | {"generate_png": "There is no `generate`."}
    refusal = codecs.lacking(halves)
    if refusal is not None:
        return found, remarks | {"generate_png": refusal}
    return [*found, codecs.generate_png_endpoint(generate, halves.preprocessing)], remarks


def vae_endpoints(
    halves: Halves,
    num_samples: int = 64,
    prior: OfPrior | None = None,
    table: Table | None = None,
) -> tuple[list[Endpoint], Remarks]:
    """Returns `reconstruct`, `score`, `impute`, `surprisal`, as far as there can be.

    Args:
        halves: the model.
        num_samples: K, draws of z for each image.
        prior: of `of_prior`, if it is known already.
        table: what the model's numbers mean, for `surprisal_columns`.
    """
    found = [inference.reconstruct_endpoint(halves)]
    known, reason = of_prior(halves) if prior is None else prior
    if not halves.draws:
        known, reason = None, NO_NOISE
    if known is None:
        return found, dict.fromkeys(("score", "impute", "surprisal"), reason)
    found.append(inference.score_endpoint(halves, known, num_samples))
    remarks = Remarks() if halves.parts.likelihood.discrete else Remarks(score=inference.DENSITY)
    if (refusal := imputation.lacking(halves)) is None:
        found.append(imputation.impute_endpoint(halves, known, num_samples))
    else:
        remarks["impute"] = refusal
    if (refusal := surprisal.lacking(halves)) is not None:
        return found, remarks | {"surprisal": refusal}
    found.append(surprisal.surprisal_endpoint(halves, known, num_samples))
    if table is not None:
        found.append(columns.surprisal_endpoint(table, halves, known, num_samples))
    return found, remarks
