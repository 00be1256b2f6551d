"""A ladder VAE in PyTorch by hand, with the layers of `vae_tf.networks.mlp_ladder`."""

import torch
import torch.nn.functional as F
from torch import nn

SIZE, WIDTH, TOP, BELOW = 28 * 28, 500, 8, 40


def hidden(inputs: int) -> nn.Sequential:
    """Returns a hidden layer."""
    return nn.Sequential(nn.Linear(inputs, WIDTH), nn.SiLU())


class LadderVAE(nn.Module):
    """The loss of two groups of latents: mean over the batch of -log p(x|z) + KL, in nats.

    The KL of either group is in closed form, that of the lower one given the draw of the top.
    """

    def __init__(self):
        super().__init__()
        self.up = nn.ModuleList([nn.Sequential(nn.Flatten(), hidden(SIZE)), hidden(WIDTH)])
        self.top = nn.Linear(WIDTH, 2 * TOP)
        self.prior, self.p = hidden(TOP), nn.Linear(WIDTH, 2 * BELOW)
        self.posterior, self.q = hidden(2 * WIDTH), nn.Linear(WIDTH, 2 * BELOW)
        self.down = nn.ModuleList([hidden(TOP), hidden(WIDTH + BELOW)])
        self.logits = nn.Linear(WIDTH, SIZE)

    def forward(self, x):
        """Returns the loss of images [B, 1, 28, 28]."""
        features = self.up[0](x)
        mean, log_var = self.top(self.up[1](features)).float().chunk(2, -1)
        top = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        kl = -0.5 * torch.sum(1 + log_var - mean.square() - log_var.exp())
        state = self.prior(top)
        loc, log_scale = self.p(state).float().chunk(2, -1)
        shift, log_ratio = (
            self.q(self.posterior(torch.cat([features, state], -1))).float().chunk(2, -1)
        )
        below = loc + shift + torch.exp(log_scale + log_ratio) * torch.randn_like(loc)
        ratio = (shift * torch.exp(-log_scale)).square() + torch.exp(2 * log_ratio)
        kl = kl + 0.5 * torch.sum(ratio - 1 - 2 * log_ratio)
        h = self.down[1](torch.cat([self.down[0](top), below.to(state.dtype)], -1))
        logits = self.logits(h).float()
        nll = F.binary_cross_entropy_with_logits(logits, x.flatten(1), reduction="sum")
        return (nll + kl) / len(x)
