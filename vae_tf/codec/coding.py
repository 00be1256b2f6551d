"""Bits-back coding with asymmetric numeral systems, of a model's data in several chains.

An image x costs -log2 p(x|z) - log2 p(z) bits with any z. The encoder does not choose z: it reads
z ~ q(z|x) off the bits that the chain holds already, -log2 q(z|x) of them. The decoder, which knows
x by then, puts them back. So an image costs its negative ELBO (Townsend, Bird and Barber 2019,
section 2.2). A prior that is a mixture has its component as one more latent, which costs nothing:
p(z) = p(k) p(z|k) / p(k|z).

Image i lies in chain i mod C, and step i // C of all chains is one batch for the networks.
"""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from vae_tf.checks import whole
from vae_tf.codec.container import Container, Header, digest_of
from vae_tf.codec.decisions import joined, pop, push, told
from vae_tf.codec.images import indices, of_dtype, small
from vae_tf.codec.latents import Grid, Mixture
from vae_tf.codec.machine import machine
from vae_tf.codec.networks import Networks
from vae_tf.codec.stack import Stack, coder
from vae_tf.codec.subject import alphabet_of, event_shape_of, fingerprint
from vae_tf.distributions.likelihoods.alphabets import Mass, Table
from vae_tf.errors import CodecError
from vae_tf.models import VAE

BINS = 12
# A chain costs what its first image takes out of random bits, some 50 bytes. More of them make
# larger batches.
MOST_CHAINS, IMAGES_OF_A_CHAIN = 16, 1000

Progress = Callable[[int], None]


class Codec:
    """Compresses data with a model, and decompresses them; a context manager.

    The model's networks run in a process of their own, from when they are needed until `close`.

    Args:
        vae: a trained model without a condition, whose posterior is a DiagonalNormal, whose prior
            is a normal or a mixture of normals, and whose likelihood has an `alphabet`.

    Attributes:
        event_shape: shape of one example.
        model: the fingerprint by which a file knows its model.

    Raises:
        CodecError: the model has other parts, or the package constriction is not installed.

    Example:
        >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
        >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
        >>> x = np.eye(8, dtype="uint8")
        >>> with vae_tf.codec.Codec(vae_tf.VAE(encoder, decoder)) as codec:
        ...     file = codec.compress(x)
        ...     restored = codec.decompress(file)
        >>> np.array_equal(restored, x)
        True
    """

    def __init__(self, vae: VAE):
        coder()
        self._alphabet = alphabet_of(vae)
        self._likelihood, self.event_shape = vae.likelihood, event_shape_of(vae)
        self._latent_dim, self.model = vae.prior.latent_dim, fingerprint(vae)
        self._vae = vae

    @functools.cached_property
    def _networks(self) -> Networks:
        return Networks(self._vae, self._alphabet)

    def compress(
        self,
        x: np.ndarray,
        *,
        chains: int | None = None,
        bins: int = BINS,
        progress: Progress | None = None,
    ) -> bytes:
        """Returns a compressed file of data, [N, *event].

        Args:
            x: values of the likelihood's alphabet, as booleans, whole numbers or floats. Grey
                levels in [0, 1] may be given as whole numbers too, such as 0 to 255.
            chains: number of images that are coded at once; if None, one for each thousand images,
                and at most 16.
            bins: number of bits that tell each latent. More bits cost more in each chain's first
                image and less in all others.
            progress: a function to be called with how many images are done.

        Raises:
            DataError: data outside the alphabet, or of another shape.
        """
        bins = whole("bins", bins)
        if bins > 20:
            raise CodecError("`bins` must be at most 20", bins, f"Pass bins={BINS}.")
        x = np.asarray(x)
        index = indices(x, self.event_shape, self._likelihood, self._alphabet)
        if chains is None:
            chains = min(MOST_CHAINS, max(1, len(x) // IMAGES_OF_A_CHAIN))
        stacks = [Stack() for _ in range(whole("chains", chains))]
        grid = Grid.around(self._networks.centre, self._networks.spread, bins)
        for first in range(0, len(index), len(stacks)):
            batch = index[first : first + len(stacks)]
            with np.errstate(all="ignore"):  # what a model puts out is coded with, whatever it is
                self._write(stacks, batch, grid)
            if progress is not None:
                progress(first + len(batch))
        words = [stack.words() for stack in stacks]
        header = Header(
            model=self.model,
            shape=x.shape,
            dtype=x.dtype.str,
            bins=bins,
            words=tuple(map(len, words)),
            data=digest_of(index),
            machine=machine(),
        )
        return Container(header, words).to_bytes()

    def decompress(self, data: bytes, progress: Progress | None = None) -> np.ndarray:
        """Returns the data that a compressed file holds, equal bit by bit to those compressed.

        Args:
            data: the file.
            progress: a function to be called with how many images are done.

        Raises:
            CodecError: the file is damaged, belongs to another model, or decodes to other data than
                were compressed, which happens where another machine computes other last bits.
        """
        file = Container.from_bytes(data)
        header = file.header
        if header.model != self.model:
            received = f"a file of model {header.model}"
            fix = "Pass the run that compressed it."
            raise CodecError(f"The file must be of this model, {self.model}", received, fix)
        if header.shape[1:] not in (self.event_shape, self.event_shape[:-1]):
            fix = "Compress the data again."
            raise CodecError(f"The file must hold data {self.event_shape}", header.shape, fix)
        count, stacks = header.shape[0], [Stack(words) for words in file.words]
        shape = (count, math.prod(self.event_shape))
        index: np.ndarray = np.zeros(shape, small(self._alphabet))
        grid = Grid.around(self._networks.centre, self._networks.spread, header.bins)
        for first in reversed(range(0, count, len(stacks))):
            rows = index[first : first + len(stacks)]
            with np.errstate(all="ignore"):
                rows[:] = self._read(stacks[: len(rows)], len(stacks), grid)
            if progress is not None:
                progress(count - first)
        if digest_of(index) != header.data:
            raise CodecError(
                "The decoded data must be those that were compressed",
                f"others, decoded by {machine()} and compressed by {header.machine}",
                "Decompress it on a machine like the one that compressed it; nothing was written.",
            )
        return of_dtype(index, np.dtype(header.dtype), self._alphabet).reshape(header.shape)

    def _write(self, stacks: Sequence[Stack], index: np.ndarray, grid: Grid) -> None:
        """Puts one image, a row of `index` [B, D], on each of the first stacks."""
        chains, used = len(stacks), stacks[: len(index)]
        index = np.concatenate([index, np.zeros((chains - len(index), index.shape[1]), "int64")])
        z = pop(used, self._posterior(index, grid), (chains, self._latent_dim), grid.size)
        prior, of_component, of_x = self._given(z, grid)
        component = pop(used, of_component, (chains, 1), prior.size)
        parts = [
            told(component, prior.component(chains), prior.size),
            told(z, prior.latents(grid, component), grid.size),
            told(index, of_x, self._alphabet.size),
        ]
        push(used, joined(parts))

    def _read(self, stacks: Sequence[Stack], chains: int, grid: Grid) -> np.ndarray:
        """Takes one image off each stack, and returns them, [B, D]."""
        prior = self._networks.prior
        component = pop(stacks, prior.component(chains), (chains, 1), prior.size)
        of_z = prior.latents(grid, component)
        z = pop(stacks, of_z, (chains, self._latent_dim), grid.size)
        _, of_component, of_x = self._given(z, grid)
        index = pop(stacks, of_x, (chains, math.prod(self.event_shape)), self._alphabet.size)
        drawn = told(z, self._posterior(index, grid), grid.size)
        push(stacks, joined([drawn, told(component, of_component, prior.size)]))
        return index[: len(stacks)]

    def _posterior(self, index: np.ndarray, grid: Grid) -> Mass:
        """Returns the mass of q(z|x) in ranges of bins."""
        x: np.ndarray = self._alphabet.value(index).astype("float32")
        return grid.normal(**self._networks.encode(x.reshape(-1, *self.event_shape)))

    def _given(self, z: np.ndarray, grid: Grid) -> tuple[Mixture, Mass, Mass]:
        """Returns the prior, and the masses of its components and of x given z [C, L]."""
        prior, outputs = self._networks.prior, self._networks.decode(grid.at(z))
        component = outputs.pop("component", np.ones((len(z), 1, 1)))
        of_component = Table(prior.size).mass({"probabilities": component})
        return prior, of_component, self._alphabet.mass(outputs)

    def close(self) -> None:
        """Ends the networks' process."""
        networks = self.__dict__.pop("_networks", None)
        if networks is not None:
            networks.close()

    def __enter__(self) -> "Codec":
        return self

    def __exit__(self, *exception) -> None:
        self.close()
