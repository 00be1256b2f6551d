import numpy as np
import pytest

from vae_tf import plots

RNG = np.random.default_rng(0)


def test_tile_puts_each_image_in_its_place():
    images = RNG.random((5, 3, 4, 2))
    picture = plots.tile(images, columns=3)
    assert picture.shape == (2 * 3 + 1, 3 * 4 + 2, 2)
    np.testing.assert_allclose(picture[:3, 5:9], images[1], rtol=1e-6)
    np.testing.assert_allclose(picture[4:7, :4], images[3], rtol=1e-6)
    assert (picture[4:7, 10:] == 1).all()  # padding
    rows = RNG.random((2, 3, 3, 4, 2))
    np.testing.assert_allclose(plots.tile(rows, 99), plots.tile(rows.reshape(6, 3, 4, 2), 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("count", [1, 5, 30])
def test_figures_of_any_channels(channels, count, tmp_path):
    images = RNG.random((count, 5, 6, channels))
    for name, figure in {
        "grid": plots.image_grid(images),
        "pairs": plots.reconstructions(images, images),
    }.items():
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 500


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1)])
def test_images_one_pixel_wide(size, tmp_path):
    plots.image_grid(RNG.random((1, *size, 1)), "one").savefig(tmp_path / "one.png")


def test_reconstructions_stand_below_their_originals():
    originals, copies = np.zeros((24, 2, 2, 1)), np.ones((24, 2, 2, 1))
    (picture,) = (i.get_array() for i in plots.reconstructions(originals, copies).axes[0].images)
    assert picture.shape[0] == 4 * 2 + 3  # two rows of twelve, each with its copies
    assert picture[0:2, 0:2].sum() == 0
    assert picture[3:5, 0:2].sum() == 4


def test_what_the_model_sees_stands_between_an_image_and_its_reconstruction():
    shape = (12, 2, 2, 1)
    grey, seen, made = np.full(shape, 0.4), np.ones(shape), np.zeros(shape)
    figure = plots.reconstructions(grey, made, seen=seen)
    (picture,) = (i.get_array() for i in figure.axes[0].images)
    assert picture.shape[0] == 3 * 2 + 2
    np.testing.assert_allclose([picture[i, 0] for i in (0, 3, 6)], [0.4, 1, 0], rtol=1e-6)
    assert "sees" in figure.axes[0].get_title()


@pytest.mark.parametrize("epochs", [1, 100])
def test_learning_curves_show_every_part(epochs):
    history = [
        {n: float(i) for n in ("elbo", "nll", "kl", "val_elbo", "val_nll", "val_kl")}
        for i in range(epochs)
    ]
    figure = plots.learning_curves(history)
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2]
    without_validation = plots.learning_curves([{"elbo": 1.0, "nll": 1.0, "kl": 0.0}])
    assert [len(axes.lines) for axes in without_validation.axes] == [1, 1, 1]


def test_a_heat_map_is_bright_where_values_are_large():
    images, values = np.ones((3, 2, 2, 1)), np.zeros((3, 2, 2, 1))
    values[1, 0, 1], values[2, 1, 1] = 8.0, np.nan
    (picture,) = (i.get_array() for i in plots.heat_map(images, values).axes[0].images)
    below = np.asarray(picture)[-2:].sum(-1)  # [2, 8]: three maps, side by side
    assert (below[0, 4] > below[0, [0, 1, 3, 6, 7]]).all()
    np.testing.assert_allclose(np.asarray(picture)[-1, 7], 0.5)


def test_names_that_the_font_lacks_become_numbers(tmp_path):
    values = {"收入": RNG.random(50), "a $ b $": RNG.random(50), "Größe": RNG.random(50)}
    kinds = dict.fromkeys(values, "real") | {"色": "category"}
    values["色"] = np.array(["红", "green"] * 25, object)
    figure = plots.marginals(values, values, kinds)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["column 1", r"a \$ b \$", "Größe", "column 4"]
    assert [t.get_text() for t in figure.axes[3].get_xticklabels()] == ["green", "word 2"]
    figure.savefig(tmp_path / "marginals.png")  # pytest makes an error of a missing glyph
    plots.pairs(values, values, kinds).savefig(tmp_path / "pairs.png")


@pytest.mark.parametrize("count", [0, 3, 12, 30])
def test_codes_have_a_colour_for_each_of_a_few_classes(count):
    z = RNG.normal(size=(90, 2))
    labels = np.arange(90) % count if count else None
    axes = plots.codes(z, labels).axes[0]
    shown = [np.asarray(c.get_offsets()) for c in axes.collections]
    expected = [z[labels == i] for i in range(count)] if 0 < count <= 20 else [z]
    assert len(shown) == len(expected)
    for found, points in zip(shown, expected, strict=True):
        np.testing.assert_allclose(found, points)
    colours = {tuple(c.get_facecolor()[0]) for c in axes.collections}
    assert len(colours) == len(expected)
