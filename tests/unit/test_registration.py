import subprocess
import sys

import pytest

PARTS = ["distributions.priors", "runs.training"]
MORE_PARTS = [
    "callbacks",
    "cli.progress",
    "data",
    "distributions.likelihoods",
    "evaluation",
    "exporting",
    "models",
    "networks",
    "objectives.penalties",
    "objectives.schedules",
]
ORDERS = [
    "import vae_tf, keras",
    "import keras, vae_tf",
    "import vae_tf; vae_tf.VAE; import keras",
    *(
        pytest.param(imports, marks=pytest.mark.slow)
        for imports in (
            "import vae_tf.distributions; import keras",
            "import vae_tf, tensorflow; import keras",
        )
    ),
    *(
        pytest.param(f"import vae_tf.{part}; import keras", marks=mark)
        for mark, parts in ((pytest.mark.slow, PARTS), (pytest.mark.long, MORE_PARTS))
        for part in parts
    ),
    "import importlib.util, vae_tf; importlib.util.find_spec('keras'); import keras",
]


@pytest.mark.slow_but(1)
@pytest.mark.parametrize("imports", ORDERS)
def test_keras_knows_the_classes_in_any_order_of_imports(imports):
    code = (
        f"{imports}; import sys; "
        "assert keras.saving.get_registered_object('vae_tf>VAE').__module__ == 'vae_tf.models.vae';"
        "assert not [f for f in sys.meta_path if 'vae_tf' in type(f).__module__]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
