"""Bundles of texts: strings from a SavedModel, and a step at a time in LiteRT."""

import numpy as np
import pytest
import tensorflow as tf

import vae_tf
from vae_tf import SequenceVAE, networks
from vae_tf.data import Texts
from vae_tf.data.batch import Batch
from vae_tf.errors import ExportError
from vae_tf.exporting import verify_bundle
from vae_tf.formats.litert import files as litert

LINES = ["to be or not", "be that", "not to be"]
MAKERS = {
    "gru": (networks.gru_encoder, networks.gru_decoder),
    "causal": (networks.causal_encoder, networks.causal_decoder),
}


def model(kind, tokens):
    texts = Texts.of(LINES, tokens)
    likelihood = texts.likelihood()
    make_encoder, make_decoder = MAKERS[kind]
    options = {"tokens": texts.num_tokens, "embedding": 4}
    decoder = make_decoder(
        2, likelihood.parameter_shapes(texts.shape), (6,), event_shape=texts.shape, **options
    )
    rng = np.random.default_rng(0)
    for weight in decoder.trainable_variables:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    encoder = make_encoder(texts.shape, 2, (6,), **options)
    return SequenceVAE(encoder, decoder, likelihood=likelihood, end=0), texts


CASES = [("gru", "words"), pytest.param(("causal", "bytes"), marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    vae, texts = model(*request.param)
    directory = tmp_path_factory.mktemp("texts")
    vae_tf.export(vae, directory, texts=texts)
    return vae, texts, directory


def test_strings_begin_with_the_probabilities_of_the_model(exported):
    vae, texts, home = exported
    decode = tf.saved_model.load(str(home / "decoder" / "1")).signatures["decode_text"]
    number, temperature = 1500, 0.6
    z = np.tile(np.array([[0.5, -1.0]], "float32"), (number, 1))
    warmth = tf.fill([number], temperature)
    found = decode(z=tf.constant(z), seed=tf.range(number), temperature=warmth)["text"].numpy()
    words = texts.vocabulary.name == "words"
    firsts = [text.split(b" ")[0] if words else text[:1] for text in found]
    nothing = Batch(tf.zeros([1, texts.max_length]))
    logits = vae.parts.decoded(tf.constant(z[:1]), nothing)["logits"][0, : texts.num_tokens]
    p = tf.nn.softmax(logits / temperature).numpy()
    names = ["", *texts.vocabulary.words] if words else [b"", *(bytes([b]) for b in range(256))]
    for name, probability in zip(names, p, strict=True):
        share = firsts.count(name.encode() if words else name) / number
        error = np.sqrt(probability * (1 - probability) / number)
        assert abs(share - probability) < 4.5 * error + 1 / number, name


def test_a_step_at_a_time_in_litert_is_the_greedy_text(exported):
    vae, texts, home = exported
    content = (home / "decoder.tflite").read_bytes()
    z = np.array([[0.3, 0.2]], "float32")
    token, state = -1, np.zeros((1, texts.max_length + 1), "float32")
    x = np.zeros((1, texts.max_length), "float32")
    for position in range(texts.max_length):
        asked = {"token": np.array([token], "int32"), "state": state, "z": z}
        answer = litert.run(content, "step", [asked])[0]
        np.testing.assert_allclose(np.exp(answer["log_prob"]).sum(), 1, rtol=1e-5)
        token, state = np.argmax(answer["log_prob"]), answer["state"]
        x[0, position] = token
        if not token:
            break
    assert np.array_equal(x, vae.draw(z, temperature=0.0))
    serve = tf.saved_model.load(str(home / "decoder" / "1")).signatures["decode_text"]
    given = {"z": tf.constant(z), "seed": tf.constant([0]), "temperature": tf.constant([0.0])}
    text = serve(**given)["text"].numpy()[0].decode("utf-8", errors="replace")
    assert text == texts.decode(x)[0]


def test_codes_are_those_of_complete_texts(exported):
    vae, texts, home = exported
    batch = texts.encode(LINES)
    encode = tf.saved_model.load(str(home / "encoder" / "1")).signatures["encode"]
    found = encode(x=tf.constant(batch["x"]))
    expected = vae.encode(batch).mean()
    np.testing.assert_allclose(found["z_mean"], expected, atol=1e-5)
    lite = litert.run((home / "encoder.tflite").read_bytes(), "encode", [{"x": batch["x"]}])[0]
    np.testing.assert_allclose(lite["z_mean"], expected, atol=1e-5)


def test_the_bundle_tells_of_its_texts(exported):
    _, texts, home = exported
    bundle = verify_bundle(home)
    assert set(bundle.manifest["signatures"]) == {"encode", "generate_text", "decode_text", "step"}
    assert bundle.manifest["texts"] == texts.get_config()
    assert bundle.decoder_tflite == home / "decoder.tflite"
    errors = bundle.manifest["parity"]["max_relative_error"]
    assert set(errors["step"]) == {"python_saved_model", "cpp_loader", "litert"}
    card = (home / "README.md").read_text("utf-8")
    assert "`decode_text`" in card
    assert f"shape [{texts.max_length}] and 2 latent variables" in card
    assert "An `image` is a mean" not in card
    assert "decode_text.png" not in (home / "serving/request.sh").read_text("utf-8")


def test_rows_are_their_own(exported):
    _, _, home = exported
    generate = tf.saved_model.load(str(home / "decoder" / "1")).signatures["generate_text"]
    together = generate(seed=tf.constant([3, 9]), temperature=tf.constant([1.0, -1.0]))
    alone = generate(seed=tf.constant([3]), temperature=tf.constant([1.0]))
    assert together["text"].numpy()[0] == alone["text"].numpy()[0]
    assert together["text"].numpy()[1] == b""


def test_a_decoder_of_steps_needs_texts_and_texts_such_a_decoder(tmp_path):
    vae, texts = model("causal", "words")
    with pytest.raises(ExportError, match=r"can only be exported for texts.*Pass texts="):
        vae_tf.export(vae, tmp_path)
    outputs = vae_tf.likelihoods.Bernoulli().parameter_shapes((4,))
    flat = vae_tf.VAE(networks.mlp_encoder((4,), 2, (3,)), networks.mlp_decoder(2, outputs, (3,)))
    with pytest.raises(ExportError, match="a decoder of z alone"):
        vae_tf.export(flat, tmp_path, texts=texts)
    assert not list(tmp_path.iterdir())
