"""Solve u'' + 4 u' + 400 u = 0 with u(0) = 1, u'(0) = 0 by a physics-informed net, whose loss has its second derivative."""

import math

import torch
from torch import nn

DAMPING, FREQUENCY = 2.0, 20.0
STEPS = 1000


class FCN(nn.Module):
    def __init__(self, width=32, depth=3):
        super().__init__()
        layers = [nn.Linear(1, width), nn.Tanh()]
        for _ in range(depth - 1):
            layers += [nn.Linear(width, width), nn.Tanh()]
        self.net = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, t):
        return self.net(t)


def exact(t):
    omega = math.sqrt(FREQUENCY**2 - DAMPING**2)
    phase = math.atan(-DAMPING / omega)
    return torch.exp(-DAMPING * t) * torch.cos(omega * t + phase) / math.cos(phase)


def solve(pinn, seed=123):
    torch.manual_seed(seed)
    boundary = torch.zeros(1, 1, requires_grad=True)
    physics = torch.linspace(0, 1, 30).view(-1, 1).requires_grad_(True)
    optimizer = torch.optim.Adam(pinn.parameters(), lr=1e-3)
    for step in range(STEPS):
        optimizer.zero_grad()
        u = pinn(boundary)
        dudt = torch.autograd.grad(u, boundary, torch.ones_like(u), create_graph=True)[0]
        loss = (u.squeeze() - 1) ** 2 + 1e-1 * dudt.squeeze() ** 2
        u = pinn(physics)
        dudt = torch.autograd.grad(u, physics, torch.ones_like(u), create_graph=True)[0]
        d2udt2 = torch.autograd.grad(dudt, physics, torch.ones_like(dudt), create_graph=True)[0]
        loss = loss + 1e-4 * ((d2udt2 + 2 * DAMPING * dudt + FREQUENCY**2 * u) ** 2).mean()
        loss.backward()
        optimizer.step()
    t = torch.linspace(0, 1, 300).view(-1, 1)
    with torch.no_grad():
        return ((pinn(t) - exact(t)) ** 2).mean().sqrt().item()


if __name__ == "__main__":
    torch.manual_seed(0)
    print(f"error {solve(FCN()):.4f}")
