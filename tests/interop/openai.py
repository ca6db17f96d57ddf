"""An independent improved-diffusion U-Net in torch, functional on its state dict.

Written from the facts of that code's layout (keys, FiLM, interleaved qkv), not from
diffjax: it walks the numbered blocks and does what the keys it finds ask for.
"""

import math

import torch
from torch.nn import functional as F

GROUPS, EPS = 4, 1e-5


def norm(state, at, x):
    return F.group_norm(x, GROUPS, state[f"{at}.weight"], state[f"{at}.bias"], EPS)


def conv(state, at, x, stride=1):
    weight = state[f"{at}.weight"]
    pad = weight.shape[-1] // 2
    return F.conv2d(x, weight, state[f"{at}.bias"], stride=stride, padding=pad)


def linear(state, at, x):
    return F.linear(x, state[f"{at}.weight"], state[f"{at}.bias"])


def resnet(state, at, x, emb):
    h = conv(state, f"{at}.in_layers.2", F.silu(norm(state, f"{at}.in_layers.0", x)))
    out = linear(state, f"{at}.emb_layers.1", F.silu(emb))[:, :, None, None]
    scale, shift = out.chunk(2, dim=1)
    h = norm(state, f"{at}.out_layers.0", h) * (1 + scale) + shift
    h = conv(state, f"{at}.out_layers.3", F.silu(h))
    if f"{at}.skip_connection.weight" in state:
        x = conv(state, f"{at}.skip_connection", x)
    return x + h


def attention(state, at, x, heads):
    batch, channels, *size = x.shape
    flat = norm(state, f"{at}.norm", x).reshape(batch, channels, -1)
    qkv = F.conv1d(flat, state[f"{at}.qkv.weight"], state[f"{at}.qkv.bias"])
    qkv = qkv.reshape(batch * heads, -1, qkv.shape[2])
    q, k, v = qkv.chunk(3, dim=1)
    scale = q.shape[1] ** -0.25
    weights = torch.einsum("bct,bcs->bts", q * scale, k * scale).softmax(-1)
    h = torch.einsum("bts,bcs->bct", weights, v).reshape(batch, channels, -1)
    h = F.conv1d(h, state[f"{at}.proj_out.weight"], state[f"{at}.proj_out.bias"])
    return x + h.reshape(batch, channels, *size)


def block(state, at, x, emb, heads):
    """All modules of one numbered block, in order."""
    for i in range(3):
        here = f"{at}.{i}"
        if f"{here}.in_layers.0.weight" in state:
            x = resnet(state, here, x, emb)
        elif f"{here}.qkv.weight" in state:
            x = attention(state, here, x, heads)
        elif f"{here}.op.weight" in state:
            x = conv(state, f"{here}.op", x, stride=2)
        elif f"{here}.conv.weight" in state:
            x = conv(state, f"{here}.conv", F.interpolate(x, scale_factor=2.0))
        elif f"{here}.weight" in state:
            x = conv(state, here, x)
    return x


def numbered(state, prefix):
    return 1 + max(int(k.split(".")[1]) for k in state if k.startswith(prefix + "."))


@torch.no_grad()
def forward(state, x, t, heads):
    """x [B, C, H, W], t [B] -> [B, C', H, W]."""
    half = state["time_embed.0.weight"].shape[1] // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half) / half)
    angles = t[:, None].float() * frequencies[None]
    features = torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)
    emb = linear(state, "time_embed.0", features)
    emb = linear(state, "time_embed.2", F.silu(emb))
    kept, h = [], x
    for i in range(numbered(state, "input_blocks")):
        h = block(state, f"input_blocks.{i}", h, emb, heads)
        kept.append(h)
    h = block(state, "middle_block", h, emb, heads)
    for i in range(numbered(state, "output_blocks")):
        h = torch.cat([h, kept.pop()], dim=1)
        h = block(state, f"output_blocks.{i}", h, emb, heads)
    return conv(state, "out.2", F.silu(norm(state, "out.0", h)))
