"""What a model is made of: its parts, which stay, and its configuration."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from vae_tf.checks import whole
from vae_tf.data.missing import check_code
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.posteriors.normal import DiagonalNormal
from vae_tf.distributions.priors.base import Prior
from vae_tf.distributions.priors.normal import StandardNormal
from vae_tf.errors import ConfigError
from vae_tf.models import parts as parts_module
from vae_tf.models.compatibility import check_classes, check_closed_form, check_parts, listed
from vae_tf.models.door import Door
from vae_tf.models.endings import default_likelihood
from vae_tf.models.generator import Generator
from vae_tf.models.parts import Parts
from vae_tf.models.randomness import load_seed_states, save_seed_states
from vae_tf.models.shapes import check_halves, latent_dim_of
from vae_tf.objectives.base import Objective
from vae_tf.objectives.elbo import ELBO
from vae_tf.objectives.kl_controls import KLControl
from vae_tf.objectives.penalties.base import Penalty
from vae_tf.objectives.schedules import Constant, Schedule, as_schedule
from vae_tf.settings import Settings

FROZEN = (*parts_module.NAMES, "parts", "objective", "kl_control", "penalties", "missing")


class Core(keras.Model):
    """A Keras model that holds `Parts`, an objective and the weight of its KL term.

    What has been compiled has read the parts, so they cannot be assigned; `replace` makes a model
    of other ones. `beta` may be assigned at any time and counts from the next step on.

    Attributes:
        own_arguments: those that a subclass's constructor has beyond these, and keeps as
            attributes of their names; numbers, strings and the like.
    """

    own_arguments: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        *,
        prior: Prior | None = None,
        posterior: Posterior | None = None,
        likelihood: Likelihood | None = None,
        objective: Objective | None = None,
        beta: float | Schedule = 1.0,
        kl_control: KLControl | None = None,
        penalties: Sequence[Penalty] = (),
        missing: str | None = None,
        seed: int = 0,
        **kwargs,
    ):
        # The model computes likelihoods: it stays float32 and its networks keep their policies.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder
        self.prior = StandardNormal(latent_dim_of(decoder)) if prior is None else prior
        self.posterior = DiagonalNormal() if posterior is None else posterior
        self.likelihood = default_likelihood(decoder) if likelihood is None else likelihood
        self.objective = ELBO() if objective is None else objective
        self.kl_control, self.penalties = kl_control, listed(penalties)
        check_code(missing)
        self.missing = missing
        self.constant_beta = tf.Variable(1.0, trainable=False, name="beta")
        self.beta = beta
        check_parts(self)
        self.parts = Parts(
            *(encoder, decoder, self.prior, self.posterior, self.likelihood),
            classifier=None if self.objective.num_classes is None else self.objective,
        )  # not before they are known to be of their kinds
        check_classes(self.parts)
        self.event_shape = check_halves(self.parts)
        self.parts.bind()
        self.generator = Generator(self.parts)
        self.seed = whole("seed", seed, least=0) & 0x7FFFFFFF  # TFP's samplers take int32
        self.seed_generator = keras.random.SeedGenerator(self.seed)
        check_closed_form(self)
        self.built = self.event_shape is not None
        for part in self._settings_of_parts():
            part.freeze()
        self.frozen = True
        self.make_state()

    def make_state(self) -> None:
        """Makes the variables that a subclass keeps beside the parts; the last step of `__init__`.

        A subclass with an `__init__` of its own would hide the names of the arguments.
        """

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an attribute; the parts of a finished model are refused."""
        if name in FROZEN and getattr(self, "frozen", False):
            expected = (
                f"`{name}` of a model cannot be assigned: compiled steps have read it already"
            )
            fix = f"Make a model that shares the weights: `vae.replace({name}=...)`."
            raise ConfigError(expected, f"vae.{name} = {type(value).__name__}", fix)
        super().__setattr__(name, value)

    def _settings_of_parts(self) -> list[Settings]:
        """Returns all objects that the steps read numbers from."""
        parts = [self.prior, self.posterior, self.likelihood, self.objective, *self.penalties]
        inside = [layer for part in parts for layer in part._flatten_layers()]
        controls = [self.kl_control] if self.kl_control else []
        return [*(x for x in inside if isinstance(x, Settings)), *controls, *self.schedules]

    @property
    def beta(self) -> Schedule:
        """The KL term's weight, a Schedule; a number or a Schedule may be assigned at any time."""
        return self._beta

    @beta.setter
    def beta(self, value: float | Schedule) -> None:
        before, self._beta = getattr(self, "_beta", None), as_schedule(value)
        self._beta.freeze()
        if isinstance(self._beta, Constant):  # a variable: graphs that exist read its new value
            self.constant_beta.assign(self._beta.beta)
        if before is not None and not (
            isinstance(before, Constant) and isinstance(self._beta, Constant)
        ):
            self.forget_steps()

    def forget_steps(self) -> None:
        """Lets the functions that Keras compiled be compiled anew, also within a `fit`."""
        for name in ("train", "test", "predict"):
            if getattr(self, f"{name}_function", None) is not None:
                getattr(self, f"make_{name}_function")(force=True)

    @property
    def door(self) -> Door:
        """The object that takes data for this model."""
        y_is = "condition" if self.parts.conditional else None
        y_is = y_is if self.parts.classifier is None else "label"
        return Door(self.parts, self.event_shape, y_is, self.missing)

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """All schedules: beta's and those of the KL control."""
        return (self.beta, *(self.kl_control.schedules if self.kl_control else ()))

    def build(self, input_shape):
        """Marks the model as built; its networks build themselves when first called."""
        while isinstance(input_shape, Mapping) or isinstance(input_shape[0], (tuple, list)):
            input_shape = input_shape["x" if isinstance(input_shape, Mapping) else 0]
        self.event_shape = tuple(input_shape[1:])
        self.built = True

    def replace(self, **changes):
        """Returns a model with some parts replaced, which shares all others and their weights.

        `vae.replace(prior=fitted)` has the networks of `vae`, so that training one of the two
        changes the other. If the model is compiled, so is the new one; its optimizer starts anew,
        at the same time of its schedules.

        Args:
            **changes: arguments of the constructor.

        Raises:
            ConfigError: the constructor has no such argument, or the parts do not fit each other.

        Example:
            >>> encoder = vae_tf.networks.mlp_encoder((8,), latent_dim=2)
            >>> decoder = vae_tf.networks.mlp_decoder(2, {"logits": (8,)})
            >>> vae = vae_tf.VAE(encoder, decoder)
            >>> other = vae.replace(beta=4.0)
            >>> other.decoder is vae.decoder, float(other.beta(0)), float(vae.beta(0))
            (True, 4.0, 1.0)
        """
        given = {name: getattr(self, name) for name in (*parts_module.NAMES, "objective", "beta")}
        given |= {"kl_control": self.kl_control, "penalties": list(self.penalties)}
        given |= {"missing": self.missing, "seed": self.seed, "name": self.name}
        given |= {name: getattr(self, name) for name in self.own_arguments}
        unknown = sorted(set(changes) - set(given))
        if unknown:
            fix = f"Known: {', '.join(sorted(given))}."
            raise ConfigError("`replace` takes the arguments of the constructor", unknown, fix)
        model = type(self)(**{**given, **changes})
        if self.compiled:
            model.compile_from_config(self.get_compile_config())
        return model

    # Saving

    def save(self, filepath, *args, **kwargs) -> None:
        """Writes the model to a `.keras` file, as `keras.Model.save` does.

        Raises:
            ConfigError: the file is of another kind, or the networks share layers, which Keras
                would write twice and could not read again.
        """
        if not str(filepath).endswith(".keras"):
            fix = "Name it model.keras; weights alone go to save_weights('model.weights.h5')."
            raise ConfigError("A VAE is saved as a .keras file", repr(str(filepath)), fix)
        encoder, decoder = (
            {id(v): v.path for v in n.variables} for n in (self.encoder, self.decoder)
        )
        shared = [path for key, path in encoder.items() if key in decoder]
        if shared:
            fix = "Save its weights by save_weights, and build the networks anew to load them."
            received = f"{shared[0]} in encoder and decoder"
            raise ConfigError("A saved VAE's networks must not share layers", received, fix)
        super().save(filepath, *args, **kwargs)

    def save_own_variables(self, store):
        """Saves the model's own state, the random state of its networks included."""
        super().save_own_variables(store)
        save_seed_states(self, store)

    def load_own_variables(self, store):
        """Restores what `save_own_variables` saved."""
        super().load_own_variables(self.converted(load_seed_states(self, store)))

    def converted(self, store: dict) -> dict:
        """Returns the model's own variables as they are saved today, from those of any version."""
        return store

    def get_config(self) -> dict:
        """Returns the constructor's arguments, serialized."""
        serialize = keras.saving.serialize_keras_object
        parts = (*parts_module.NAMES, "objective", "beta")
        config = {part: serialize(getattr(self, part)) for part in parts}
        config["kl_control"] = self.kl_control and serialize(self.kl_control)
        config["penalties"] = [serialize(penalty) for penalty in self.penalties]
        own = {name: getattr(self, name) for name in self.own_arguments}
        return {**config, "missing": self.missing, "seed": self.seed, "name": self.name, **own}

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        """Returns the model that `get_config` described, with fresh weights."""

        def restored(value):
            if isinstance(value, list):
                return [restored(member) for member in value]
            if not isinstance(value, dict):
                return value
            return keras.saving.deserialize_keras_object(value, custom_objects=custom_objects)

        return cls(**{key: restored(value) for key, value in config.items()})
