"""How do lr and weight_decay work together in a training loop that wdstudy only listens to?

What can't be handed over stays in the loop: here gradients that are clipped and gathered over two
half batches, and a schedule of PyTorch's. Three lines report to the study: `recorder.watch` once,
`recorder.step` before every optimizer step, and `recorder.point` when something was validated.
For a loop that you can't hand over as a Task. A quarter of a minute on two cores.

    python -m wdstudy run studies/custom_loop.py
    python -m wdstudy report custom_loop
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from wdstudy import LossRecorder, SearchSpace, StudySpec, TrialParams, log_range
from wdstudy.images import digits

EPOCHS, HALF_BATCH = 8, 32
TRAIN, VAL = digits(train=360)  # read once, not in every trial


def train(params: TrialParams, recorder: LossRecorder) -> None:
    torch.manual_seed(params.seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    loader = DataLoader(TensorDataset(*TRAIN), HALF_BATCH, shuffle=True, drop_last=True)
    steps = EPOCHS * (len(loader) // 2)
    optimizer = torch.optim.AdamW(model.parameters(), params.lr, weight_decay=params.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.lr, total_steps=steps)
    recorder.watch(optimizer)
    for _ in range(EPOCHS):
        losses = []
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            (loss / 2).backward()
            losses.append(loss.detach())
            if len(losses) == 2:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                recorder.step(torch.stack(losses).mean())
                optimizer.step()
                optimizer.zero_grad()
                schedule.step()
                losses = []
        with torch.no_grad():
            recorder.point(val_loss=nn.functional.cross_entropy(model(VAL[0]), VAL[1]))


STUDY = StudySpec(
    train=train,
    space=SearchSpace(
        lr=log_range(1e-3, 1e-1, 5), weight_decay=[0, *log_range(1e-2, 10, 4)], seeds=2
    ),
)
