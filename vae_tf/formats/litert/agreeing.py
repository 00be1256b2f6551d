"""`<half>.tflite`: the signatures that LiteRT can have, and computes as Keras does."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.formats.litert import ends
from vae_tf.formats.litert import files as litert
from vae_tf.signatures.endpoint import Arrays, Endpoint
from vae_tf.signatures.probes import probes

Errors = dict[str, dict[str, Any]]  # signature -> what `parity.compare` returns


def write(
    file: Path,
    saved_model: Path,
    endpoints: Sequence[Endpoint],
    expected: Mapping[str, Sequence[Arrays]],
    label: Callable[[schema.ModelT], bytes],
    statistics: Endpoint | None = None,
) -> tuple[Errors, dict[str, str]]:
    """Returns the errors of each signature in `file`, and what is left out, why.

    No model is refused for what LiteRT lacks, cannot run or gets wrong: servers have it whole.

    Args:
        file: written, unless it would have nothing in it.
        saved_model: of the half.
        endpoints: its signatures; LiteRT has the others only beside the first.
        expected: signature -> what Keras makes of its probes.
        label: returns the file with what it is to say of itself.
        statistics: of the half, by `ends`; they are tried too.
    """
    wanted = [endpoint for endpoint in endpoints if endpoint.litert]

    def attempt(*tried: Endpoint) -> tuple[bytes, Errors]:
        content = label(litert.opened(litert.convert(saved_model, [e.name for e in tried])))
        errors = {e.name: _errors(content, e, expected[e.name]) for e in tried}
        if statistics:
            ends.check(statistics)
        return content, errors

    remarks: dict[str, str] = {}
    try:
        content, errors = attempt(*wanted)
    except ExportError as failure:  # of which of them?
        if len(wanted) == 1:
            return {}, {file.name: f"left out of LiteRT, since {failure}"}
        kept: list[Endpoint] = []
        for endpoint in wanted:
            try:
                content, errors = attempt(*kept, endpoint)
            except ExportError as error:
                if not kept:
                    return {}, {file.name: f"left out of LiteRT, since {error}"}
                remarks[endpoint.name] = f"left out of LiteRT, since {error}"
            else:
                kept.append(endpoint)
    file.write_bytes(content)
    return errors, remarks


def _errors(content: bytes, endpoint: Endpoint, expected: Sequence[Arrays]) -> dict[str, Any]:
    """Returns the errors of a LiteRT file at the probes of a signature."""
    received = litert.run(content, endpoint.name, probes(endpoint))
    return parity.compare("litert", endpoint.name, expected, received)
