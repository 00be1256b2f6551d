"""SavedModels as their loaders find them: weights as variables, and nothing else but the graph."""

import pytest
import tensorflow as tf

from tests.bundles import halves
from vae_tf import distributions
from vae_tf.distributions.bounds import bounded
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import inference
from vae_tf.signatures.coding import encode_endpoint, sample_endpoint
from vae_tf.signatures.densities import densities
from vae_tf.signatures.endpoint import Endpoint, Input


def in_a_loop(z):
    """exp of each z three times over, bounded each time, in a while loop."""
    body = lambda i, z: (i + 1, tf.exp(bounded(z, -2.0, 2.0, "z")))  # noqa: E731
    return {"image": tf.while_loop(lambda i, _: i < 3, body, [0, z])[1]}


def kinds(function):
    definition = function.graph.as_graph_def()
    bodies = [definition.node, *(inner.node_def for inner in definition.library.function)]
    return {node.op for body in bodies for node in body}


def test_gradients_of_our_own_leave_no_trace(tmp_path, caplog):
    endpoint = Endpoint("decode", "decoder", (Input("z", "float32", (2,)),), frozenset(), in_a_loop)
    with tf.GradientTape() as tape:
        tape.watch(x := tf.constant([[5.0]]))
        y = bounded(x, -2.0, 2.0)
    assert tape.gradient(y, x) == 1  # the rule: a descent brings x back
    saved_model.write([endpoint], tmp_path / "decoder")
    loaded = tf.saved_model.load(str(tmp_path / "decoder"))
    assert "IdentityN" not in kinds(loaded.signatures["decode"])
    assert not [r for r in caplog.records if "custom gradients" in r.getMessage()]
    z = tf.constant([[0.3, -7.0]])
    want = in_a_loop(z)["image"]
    (have,) = saved_model.run(tmp_path / "decoder", "decode", [{"z": z.numpy()}])
    assert have["image"] == pytest.approx(want.numpy(), rel=1e-6)


@pytest.mark.parametrize("prior", [distributions.StandardNormal, distributions.MixtureOfNormals])
def test_weights_alone_are_captured(tmp_path, prior):
    """An eager tensor caught by accident becomes an input that converters ask clients for."""
    model = halves((3, 2, 1), 2, prior=prior(2))
    scored = inference.score_endpoint(model, densities(model), num_samples=2)
    endpoints = [encode_endpoint(model), sample_endpoint(model), scored]
    for endpoint in endpoints:
        saved_model.write([endpoint], tmp_path / endpoint.name)
        loaded = tf.saved_model.load(str(tmp_path / endpoint.name))
        captured = loaded.signatures[endpoint.name].captured_inputs
        assert {tensor.dtype for tensor in captured} == {tf.resource}, endpoint.name
