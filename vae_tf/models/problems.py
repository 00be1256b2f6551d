"""What is wrong with a batch: found within the compiled step, told soon after it."""

import keras
import numpy as np
import tensorflow as tf

from vae_tf.data.batch import Batch
from vae_tf.distributions.likelihoods.base import LARGEST
from vae_tf.errors import DataError, NonFiniteError, VAEError
from vae_tf.models.parts import Parts
from vae_tf.objectives import replicas

# In the order of the data's way, so the first that is wrong is where the trouble entered.
STAGES = (
    "sample_weight",
    "the condition or the label",
    "the mask",
    "the data x",
    "the latent draw z ~ q(z|x)",
    "kl",
    "the decoder's output",
    "nll",
)
WEIGHT, CLASSES, MASK, DATA = 1, 2, 3, 4  # places in STAGES, from 1
FIELDS = ("stage", "place", "value", "low", "high")  # of a problem, float64; all 0 if there is none


def problem(parts: Parts, batch: Batch, z, kl, decoder_outputs, nll) -> tf.Tensor:
    """Returns the first problem of a batch, float64 [5] as FIELDS say, in the compiled step.

    A healthy batch costs a look at `x`, the weights, the KL and the likelihood; what goes wrong
    in between shows in the last two.

    Args:
        parts: which tell what data have a density, and what classes there are.
        batch: the examples.
        z: the draws.
        kl: [B].
        decoder_outputs: tensors or structures of them.
        nll: [B].
    """
    likelihood, mask = parts.likelihood, batch.mask
    weight = tf.ones([1]) if batch.weight is None else batch.weight
    classes = parts.classes(batch)
    # A look, not a term: the tape shall not go through the branches
    x, weight, *later = tf.nest.map_structure(
        tf.stop_gradient, [batch.x, weight, z, kl, decoder_outputs, nll]
    )
    fine = likelihood.supports(x, mask) & _finite(later[1], later[3])
    if batch.weight is not None:
        fine &= tf.reduce_all(_valid(weight))
    if classes is not None:
        fine &= tf.reduce_all(classes[1])
    if mask is not None:
        fine &= tf.reduce_all(_binary(mask))

    def first() -> tf.Tensor:
        allowed = likelihood.allowed(x)
        if mask is not None:
            allowed |= ~tf.cast(mask, tf.bool)
        nothing = (tf.zeros([1]), tf.ones([1], tf.bool))
        looked_at = [(weight, _valid(weight)), classes or nothing]
        looked_at += [nothing if mask is None else (mask, _binary(mask)), (x, allowed)]
        good = [*(tf.reduce_all(right) for _, right in looked_at), *map(_finite, later)]
        stage = tf.argmin(tf.cast(tf.stack(good), tf.int8)) + 1
        ranges = tf.stack([_range(values, right) for values, right in looked_at])
        numbers = ranges[tf.minimum(stage, len(looked_at)) - 1]
        return tf.concat([tf.cast(stage, tf.float64)[None], numbers], 0)

    return tf.cond(fine, lambda: tf.zeros([len(FIELDS)], tf.float64), first)


def data_problem(parts: Parts, batch: Batch) -> tf.Tensor:
    """Returns the first problem of data alone, as `problem` does."""
    nothing = tf.zeros([0])
    return problem(parts, batch._replace(weight=None), nothing, nothing, [], nothing)


def _finite(*stages) -> tf.Tensor:
    # A sum is cheap and keeps NaN and infinity
    tensors = tf.nest.flatten(stages)
    total = tf.add_n([tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in tensors] or [0.0])
    return tf.math.is_finite(total)


def _range(values: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Returns place and value of the first that is not right, lowest and highest, float64 [4]."""
    values = tf.reshape(values, [-1])
    place = tf.argmin(tf.cast(tf.reshape(right, [-1]), tf.int8))
    finite = tf.math.is_finite(values)
    low = tf.reduce_min(tf.where(finite, values, LARGEST))
    high = tf.reduce_max(tf.where(finite, values, -LARGEST))
    return tf.stack([tf.cast(n, tf.float64) for n in (place, values[place], low, high)])


def _valid(weight: tf.Tensor) -> tf.Tensor:
    return (weight >= 0) & (weight <= LARGEST)  # NaN compares as false


def _binary(mask: tf.Tensor) -> tf.Tensor:
    return (mask == 0) | (mask == 1)


class FirstProblem:
    """The first problem since the last `forget`, in a variable of the model.

    Args:
        add_weight: makes a variable of the model.
    """

    def __init__(self, add_weight):
        size = len(FIELDS) + 1  # and the batch
        own = {"initializer": "zeros", "dtype": "float64", "trainable": False}
        self.record = add_weight(name="first_problem", shape=(size,), **own)

    def note(self, news: tf.Tensor, batch: tf.Tensor) -> None:
        """Keeps the problem of a batch, in the compiled step, if it is the first one.

        Args:
            news: as `problem` returns.
            batch: its number, from 1.
        """
        news = replicas.first(news, news[0] > 0)
        known = tf.convert_to_tensor(self.record)
        news = tf.concat([news, tf.cast(batch, tf.float64)[None]], 0)
        self.record.assign(tf.where((known[0] == 0) & (news[0] > 0), news, known))

    def forget(self) -> None:
        """Forgets the problem."""
        self.record.assign(np.zeros(self.record.shape))

    def error(self, vae, role: str, epoch: int | None = None) -> VAEError | None:
        """Returns what is to be said, None if nothing is.

        Args:
            vae: the model.
            role: what the data were used for.
            epoch: the present one, from 1.
        """
        stage, place, value, low, high, batch = map(
            float, tf.convert_to_tensor(self.record).numpy()
        )
        if not stage:
            return None
        where = f"in batch {batch:.0f}" + (f" of epoch {epoch}" if epoch else "")
        if stage == WEIGHT:
            return DataError(
                "The weights in sample_weight must be finite and not negative",
                f"{value:g} {where} of the {role} data",
                "Pass 0 for an example that shall not count.",
            )
        if stage == CLASSES:
            counts = " or ".join(str(n - 1) for n in sorted(set(vae.parts.num_classes.values())))
            unknown = "" if vae.parts.classifier is None else ", or -1 where unknown"
            return DataError(
                f"Classes must be whole numbers from 0 to {counts}{unknown}",
                f"{value:g} {where} of the {role} data",
                "Number the classes from 0.",
            )
        if stage == MASK:
            return DataError(
                "`mask` must hold 0 and 1 alone",
                f"{value:g} {where} of the {role} data",
                "Pass 1 where x was observed and 0 where not.",
            )
        if stage == DATA:
            seen = f"{value:g} {where} of the {role} data, whose finite values go from "
            return _unsuitable(vae, int(place), value, f"{seen}{low:g} to {high:g}")
        broken = [w.path for w in vae.trainable_variables if not np.all(np.isfinite(w.numpy()))]
        after = f"; weights such as {broken[0]} are not finite either" if broken else ""
        return NonFiniteError(
            f"All terms must be finite in {role}",
            f"NaN or infinity {where}, the first bad term being {STAGES[int(stage) - 1]}{after}",
            "Lower the learning rate, set `clipnorm` in the optimizer, or check the data.",
        )


def _unsuitable(vae, place: int, value: float, received: str) -> DataError:
    """Returns the likelihood's own word on a value at a place in a batch."""
    shape = tuple(vae.event_shape)
    example = np.array(np.broadcast_to(vae.likelihood.placeholder(shape), shape))
    example.flat[place % example.size] = value
    try:
        vae.likelihood.check_support(example[None])
    except DataError as error:
        return DataError(error.expected, received, error.fix)
    name = type(vae.likelihood).__name__
    return DataError(f"{name} must have a density for the data", received, "Rescale the data.")


class ProblemGuard(keras.callbacks.Callback):
    """Raises soon after a batch had a problem, or the loss became NaN or infinite.

    The first problem is kept, and the running mean of an epoch keeps a NaN, so looking at every
    few batches misses none, and does not wait for the device at each.

    Args:
        quiet: whether another callback sees to losses that are not finite.
        every: batches between two looks.
    """

    def __init__(self, quiet: bool = False, every: int = 16):
        super().__init__()
        self.quiet, self.every = quiet, every
        self.unseen = self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        """Takes down the epoch."""
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        """Looks after every few batches."""
        self.unseen += self.model.steps_per_execution
        if self.unseen >= self.every:
            self.unseen = 0
            self.look(logs)

    def on_test_begin(self, logs=None):
        """Looks at training before validation takes the record."""
        self.look()
        self.model.first_problem.forget()

    def on_epoch_end(self, epoch, logs=None):
        """Looks at the loss of the epoch."""
        if not int(self.model.clock.step_of_epoch()):
            fix = "Check the files, the split's name and any filter."
            raise DataError("The training data must hold examples", "an empty dataset", fix)
        self.look(logs)

    def look(self, logs=None) -> None:
        """Raises what there is to say."""
        error = self.model.first_problem.error(self.model, "training", self.epoch)
        if error and not (self.quiet and isinstance(error, NonFiniteError)):
            raise error
        losses = {name: float((logs or {}).get(name, 0.0)) for name in ("loss", "val_loss")}
        bad = [f"{name}={loss}" for name, loss in losses.items() if not np.isfinite(loss)]
        if bad and not self.quiet:
            raise NonFiniteError(
                "All terms must be finite in training",
                f"{bad[0]} in epoch {self.epoch}, the first bad term being the gradients or the "
                "regularization",
                "Lower the learning rate, set `clipnorm` in the optimizer, or check the data.",
            )
