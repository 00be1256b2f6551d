"""What runs a bundle in TF Serving, and talks to it: the text files of `serving/`.

The templates hold all that no bundle changes; the rest is made of the manifest's signatures.
"""

import base64
import json
import pprint
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vae_tf.exporting.serving.warmup import example_picture
from vae_tf.signatures.endpoint import example_of

TEMPLATES = Path(__file__).with_name("templates")
MOUNT = "/models"  # where compose.yaml has the bundle
LARGEST_BATCH = 128  # rows that are worth running together
TABLE = "SIGNATURES: dict = {}"

MODELS_CONFIG = """\
# ModelServerConfig (model_server_config.proto of TF Serving). The newest version of each model
# is served. To serve two, each under a name for clients, put in place of that policy
#   model_version_policy { specific { versions: 1 versions: 2 } }
#   version_labels { key: "stable" value: 1 }
#   version_labels { key: "canary" value: 2 }
# and start the server with --allow_version_labels_for_unavailable_models=true.
"""


def serving_files(manifest_like: Mapping[str, Any]) -> dict[str, str]:
    """Returns file name -> text of all that belongs into `serving/`.

    Args:
        manifest_like: with `signatures`, as a manifest has them.
    """
    described = manifest_like["signatures"]
    table = signature_table(described)
    models = list(dict.fromkeys(entry["model"] for entry in table.values()))
    literal = pprint.pformat(table, width=100, sort_dicts=False)
    files = sorted(path for path in TEMPLATES.iterdir() if path.is_file())
    templates = {path.name: path.read_text("utf-8") for path in files}
    limits = [entry["max_rows"] for entry in described.values()]
    batching = templates["batching.config"].replace("@BATCH@", str(min(LARGEST_BATCH, *limits)))
    made = {
        "batching.config": batching.replace("@REQUEST@", str(max(limits))),
        "models.config": MODELS_CONFIG + _models_config(models),
        "compose.yaml": templates["compose.yaml"].replace("@MODELS@", " ".join(models)),
        "request.sh": templates["request.sh"] + "".join(_shell(table)),
    }
    for client in ("rest_client.py", "grpc_client.py"):
        made[client] = templates[client].replace(TABLE, f"SIGNATURES: dict = {literal}")
    return templates | made


def signature_table(described: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns what a client must know of each signature of a manifest.

    An input's `example` is the value of each element; for files, a picture in base64.
    """

    def example(spec: Mapping[str, Any]) -> Any:
        value = example_of(spec)
        if spec["dtype"] == "string" and value is not None:
            return base64.b64encode(value.encode()).decode()
        if spec["dtype"] == "string":
            return base64.b64encode(example_picture(described)).decode()
        one = {"float": 1.0, "bool": True}.get(spec["dtype"].rstrip("0123456789"), 1)
        return one if value is None else value

    def spec_of(spec: Mapping[str, Any]) -> dict[str, Any]:
        more = {key: spec[key] for key in ("choices", "drawn") if key in spec}
        return {"dtype": spec["dtype"], "shape": list(spec["shape"]), **more}

    return {
        name: {
            "model": entry["saved_model"].split("/")[0],
            "inputs": {k: spec_of(s) | {"example": example(s)} for k, s in entry["inputs"].items()},
            "outputs": {k: spec_of(s) for k, s in entry["outputs"].items()},
        }
        for name, entry in described.items()
    }


def _models_config(models: list[str]) -> str:
    """Returns the `model_config_list` of models.config."""
    configs = "".join(
        f'  config {{\n    name: "{model}"\n    base_path: "{MOUNT}/{model}"\n'
        '    model_platform: "tensorflow"\n'
        "    model_version_policy { latest { num_versions: 1 } }\n  }\n"
        for model in models
    )
    return f"model_config_list {{\n{configs}}}\n"


def _shell(table: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yields the lines of request.sh for each signature that fits into one."""
    for name, entry in table.items():
        inputs = entry["inputs"]
        if any(len(spec["shape"]) > 2 for spec in inputs.values()):
            continue
        body = {"signature_name": name, "instances": [{k: _row(s) for k, s in inputs.items()}]}
        request = f"predict {entry['model']} '{json.dumps(body)}'"
        if any(_is_file(spec) for spec in entry["outputs"].values()):
            yield f"\necho {name}: {name}.png\nsave {name}.png {request}\n"
        else:
            yield f"\necho {name}:\n{request}\n"


def _is_file(spec: Mapping[str, Any]) -> bool:
    """Returns whether an input is an encoded picture."""
    return spec["dtype"] == "string" and not {"choices", "drawn"} & set(spec)


def _row(spec: Mapping[str, Any]) -> Any:
    """Returns one row of an input as the REST API takes it."""
    if spec["dtype"] == "string":
        return {"b64": spec["example"]}
    return [spec["example"]] * spec["shape"][1] if len(spec["shape"]) == 2 else spec["example"]
