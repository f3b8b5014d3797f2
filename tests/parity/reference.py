"""What PyTorch computes from the weights and images that the Rust side wrote.

    reference.py train CASE.json FOLDER    FOLDER/{initial,images}.safetensors -> FOLDER/reference.safetensors
    reference.py airbench94 CASE.json FOLDER    FOLDER/parts.safetensors -> FOLDER/parts_reference.safetensors
    reference.py explain CASE.json FOLDER  FOLDER/{initial,images}.safetensors -> FOLDER/explained.safetensors
    reference.py schedules FILE.json       learning-rate curves of torch.optim.lr_scheduler

Everything is computed in f32 on the CPU. The batches are chosen here, by `pick_batch`, and their
image numbers are part of the answer.
"""

import itertools
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.func import functional_call
from torch.optim import lr_scheduler


class SimpleNet(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 8 * 8, n_classes)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Identity()

    def forward(self, x):  # (N, 3, 32, 32) -> (N, n_classes)
        x = self.pool(self.relu(self.conv1(x)))  # (N, 16, 16, 16)
        x = self.pool(self.relu(self.conv2(x)))  # (N, 32, 8, 8)
        return self.fc1(self.dropout(x.flatten(1)))


class ResBlock(nn.Module):
    def __init__(self, c_in, c_out, stride=1):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(),
            nn.Conv2d(c_out, c_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        if stride == 1 and c_in == c_out:
            self.shortcut = nn.Identity()
        else:
            self.shortcut = nn.Sequential(
                nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(c_out),
            )
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.relu(self.conv(x) + self.shortcut(x))


class SmallResNet(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU())
        self.layer1 = nn.Sequential(ResBlock(64, 64), ResBlock(64, 64))
        self.layer2 = nn.Sequential(ResBlock(64, 128, stride=2), ResBlock(128, 128))
        self.layer3 = nn.Sequential(ResBlock(128, 256, stride=2), ResBlock(256, 256))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Identity()
        self.fc = nn.Linear(256, n_classes)

    def forward(self, x):  # (N, 3, 32, 32) -> (N, n_classes)
        x = self.layer3(self.layer2(self.layer1(self.stem(x))))  # (N, 256, 8, 8)
        return self.fc(self.dropout(self.pool(x).flatten(1)))


class Group(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding="same", bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = nn.BatchNorm2d(c_out, eps=1e-12, momentum=0.4)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding="same", bias=False)
        self.norm2 = nn.BatchNorm2d(c_out, eps=1e-12, momentum=0.4)
        self.activ = nn.GELU()
        self.norm1.weight.requires_grad = False
        self.norm2.weight.requires_grad = False

    def forward(self, x):  # (N, c_in, H, W) -> (N, c_out, H / 2, W / 2)
        x = self.activ(self.norm1(self.pool(self.conv1(x))))
        return self.activ(self.norm2(self.conv2(x)))


class AirNet94(nn.Module):
    def __init__(self, n_classes=10):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        self.layers = nn.Sequential(nn.GELU(), Group(24, 64), Group(64, 256), Group(256, 256), nn.MaxPool2d(3))
        self.head = nn.Linear(256, n_classes, bias=False)

    def forward(self, x):  # (N, 3, 32, 32) -> (N, n_classes)
        x = self.layers(self.whiten(x)).flatten(1)  # (N, 256)
        return self.head(x) / x.size(1)


MODELS = {"simplenet": SimpleNet, "small-resnet": SmallResNet, "airnet94": AirNet94}
ACTIVATIONS = {"gelu": nn.GELU, "silu": nn.SiLU, "leaky-relu": nn.LeakyReLU}


def build(case):
    """The case's model, with the case's activation in the place of its ReLUs, and its dropout."""
    model = MODELS[case["model"]]()
    if case["dropout"] is not None:
        model.dropout = nn.Dropout(case["dropout"])
    if case["activation"] is not None:
        for parent in list(model.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.ReLU):
                    setattr(parent, name, ACTIVATIONS[case["activation"]]())
    return model


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised in `dtype`, on weights kept at the norm sqrt(rows)."""

    def __init__(self, params, lr, momentum, iterations, dtype=None):
        super().__init__(params, {"lr": lr, "momentum": momentum, "iterations": iterations, "dtype": dtype})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.mul_(group["momentum"]).add_(p.grad)
                direction = p.grad.add(buffer, alpha=group["momentum"])
                p.mul_(len(p) ** 0.5 / p.norm())
                matrix = direction.flatten(1).to(group["dtype"] or p.dtype)
                p.sub_(group["lr"] * orthogonal(matrix, group["iterations"]).to(p.dtype).view_as(p))


def orthogonal(matrix, iterations):
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def airbench94(model, rate):
    """Muon for the convolutions, SGD for the rest, with the constants of models/airnet94.toml but for `rate`."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    convs = [p for p in trained.values() if p.ndim == 4]
    biases = [p for p in trained.values() if p.ndim == 1]
    head = [p for p in trained.values() if p.ndim == 2]
    groups = [
        {"params": biases, "lr": 0.053 * rate, "weight_decay": 0.004 / 0.053},
        {"params": head, "lr": 0.67 * rate, "weight_decay": 0.004 / 0.67},
    ]
    return [Muon(convs, 0.24 * rate, 0.6, 3), torch.optim.SGD(groups, momentum=0.85, nesterov=True)]


# A decision this many standard deviations of rounding away from its threshold is safe; where no
# batch of so many tries is, the safest of them serves.
SAFE, TRIES = 6.0, 32


class Learner:
    """A model with its optimiser and schedule, in one precision."""

    def __init__(self, case, weights, dtype):
        self.model = build(case).to(dtype)
        self.model.load_state_dict(weights, strict=True)
        options = dict(case["optimizer"])
        kind, n_steps = options.pop("kind"), case["n_steps"]
        self.reduction = "mean"
        if kind == "airbench94":
            self.reduction = "sum"
            self.optimizers = airbench94(self.model, **options)
            self.schedules = [lr_scheduler.LinearLR(o, 1.0, 0.0, n_steps) for o in self.optimizers]
        else:
            optimizer = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[kind]
            self.optimizers, self.schedules = [optimizer(self.model.parameters(), **options)], []
            if case["one_cycle"]:
                cycle = lr_scheduler.OneCycleLR(self.optimizers[0], max_lr=options["lr"], total_steps=n_steps)
                self.schedules.append(cycle)
        self.clip_norm = case["clip_norm"]
        self.criterion = nn.CrossEntropyLoss(label_smoothing=case["label_smoothing"])
        self.decisions = record_decisions(self.model)

    def decide(self, images):
        """What `record_decisions` collects in a training-mode pass over `images`."""
        self.decisions.clear()
        statistics = {name: buffer.clone() for name, buffer in self.model.named_buffers()}  # a pass moves them
        with torch.no_grad():
            functional_call(self.model.train(), statistics, (images,))
        return list(self.decisions)

    def step(self, images, labels):
        """One optimiser step. Returns the logits, the mean loss and its gradients before clipping."""
        self.model.train()
        logits = self.model(images)
        loss = self.criterion(logits, labels)
        self.model.zero_grad()
        loss.backward()
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        gradients = {name: p.grad.clone() for name, p in trained}
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        if self.reduction == "sum":
            for _, p in trained:
                p.grad *= len(labels)
        for optimizer in self.optimizers:
            optimizer.step()
        for schedule in self.schedules:
            schedule.step()
        return logits.detach(), loss.detach(), gradients


def record_decisions(model):
    """A list that each pass of `model` extends by what its ReLUs and max-pools decide on.

    A ReLU decides by the sign of its input, a max-pool by the lead of a window's largest value.
    """
    seen = []
    for module in model.modules():
        if isinstance(module, (nn.ReLU, nn.LeakyReLU)):
            module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
        elif isinstance(module, nn.MaxPool2d):
            module.register_forward_pre_hook(lambda pool, inputs: seen.append(lead(inputs[0].detach(), pool.kernel_size)))
    return seen


def lead(x, side):
    """How far the largest value of each window is ahead; behind a ReLU a window of zeros passes no gradient on."""
    windows = x.unfold(2, side, side).unfold(3, side, side).flatten(-2)
    first, second = windows.topk(2).values.unbind(dim=-1)
    return torch.where(first != 0, first - second, torch.inf)


def pick_batch(single, double, images, batches):
    """The batch (image numbers) of the next few in `batches` on which rounding is least likely to matter.

    Correct implementations round differently, so a ReLU's input within about 1e-6 of zero may fall
    on either side; where one does, gradients differ by 1e-3, whoever computes them. How large the
    rounding is, is measured layer by layer: `double` has made the same steps in f64.
    """
    best, best_margin, rounding = None, -1.0, None
    for batch in itertools.islice(batches, TRIES):
        values = single.decide(images[batch])
        if rounding is None:
            exact = double.decide(images[batch].double())
            rounding = [spread(a - b) for a, b in zip(values, exact, strict=True)]
        margins = ((v.abs().min() / sigma).item() for v, sigma in zip(values, rounding, strict=True))
        margin = min(margins, default=torch.inf)  # nothing is decided without a ReLU or a max-pool
        if margin > best_margin:
            best, best_margin = batch, margin
        if margin > SAFE:
            break
    if best is None:
        sys.exit("images.safetensors holds too few images")
    return best, best_margin


def spread(difference):
    return difference[difference.isfinite()].std()


def train(case, folder):
    """The numbers of one case: the first step in detail, then the state after the last."""
    weights = load_file(folder / "initial.safetensors")
    pool = load_file(folder / "images.safetensors")
    images, labels = pool["images"], pool["labels"].to(torch.int64)
    candidates = iter(torch.arange(len(images)).split(case["batch_size"]))
    single, double = Learner(case, weights, torch.float32), Learner(case, weights, torch.float64)

    out, chosen, margins, losses, norms = {}, [], [], [], []
    for step in range(case["n_steps"]):
        batch, margin = pick_batch(single, double, images, candidates)
        chosen.append(batch)
        margins.append(round(margin, 1))
        if step == 0:
            out["eval_logits"] = eval_logits(single.model, images[batch])
        logits, loss, gradients = single.step(images[batch], labels[batch])
        double.step(images[batch].double(), labels[batch])
        if step == 0:
            out |= {"train_logits": logits} | {f"grad.{name}": g for name, g in gradients.items()}
        losses.append(loss)
        summed = len(batch) if single.reduction == "sum" else 1
        norms.append(nn.utils.get_total_norm(gradients.values()) * summed)

    out |= {"batches": torch.stack(chosen), "losses": torch.stack(losses), "grad_norms": torch.stack(norms)}
    out |= {f"after.{name}": tensor for name, tensor in single.model.state_dict().items()}
    out["after_eval_logits"] = eval_logits(single.model, images[chosen[0]])
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, folder / "reference.safetensors")
    save_file(single.model.state_dict(), folder / "after.safetensors")
    exact = double.model.state_dict()
    worst = max(relative_error(t, exact[name]) for name, t in single.model.state_dict().items())
    print(f"{case['name']}: torch's f32 is within {worst:.1e} of its f64 after the last step; margins {margins}")


def airbench94_parts(case, folder):
    """Whitening filters, identity filters, orthogonalised matrices and the logits of six views."""
    given = load_file(folder / "parts.safetensors")
    images = given["images"]
    out = {"whiten": whitening(images), "dirac": nn.init.dirac_(torch.empty(24, 24, 3, 3))}
    for which in ["wide", "tall"]:
        out[f"{which}.orthogonal"] = orthogonal(given[which], 3)
        out[f"{which}.orthogonal.bf16"] = orthogonal(given[which].bfloat16(), 3).float()
    model = build(case)
    model.load_state_dict(load_file(folder / "initial.safetensors"), strict=True)
    padded = nn.functional.pad(images, (1, 1, 1, 1), "reflect")

    def mirrored(x):
        return (eval_logits(model, x) + eval_logits(model, x.flip(-1))) / 2

    moved = (mirrored(padded[:, :, :32, :32]) + mirrored(padded[:, :, 2:, 2:])) / 2
    out["tta_logits"] = (mirrored(images) + moved) / 2
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, folder / "parts_reference.safetensors")


def whitening(images, eps=5e-4):
    """Filters (24, 3, 2, 2); of a vector and its opposite the one first whose largest component is positive."""
    patches = images.double().unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    rows = vectors.T
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    rows = rows * largest.sign() / (values[:, None] + eps).sqrt()
    return torch.cat((rows, -rows)).float().reshape(24, 3, 2, 2)


class Frozen:
    """A model in evaluation mode."""

    def __init__(self, case, weights, dtype):
        self.model = build(case).to(dtype).eval()
        self.model.load_state_dict(weights, strict=True)
        self.decisions = record_decisions(self.model)

    def decide(self, images):
        """What `record_decisions` collects in a pass over `images`."""
        self.decisions.clear()
        with torch.no_grad():
            self.model(images)
        return list(self.decisions)


def record_stages(model):
    """Names of a model's stages, and a list that each pass extends by their outputs."""
    if isinstance(model, SimpleNet):
        names, modules = ["conv1", "conv2"], [model.relu]  # one module, used twice
    else:
        names = ["stem", "layer1", "layer2", "layer3"]
        modules = [getattr(model, name) for name in names]
    outputs = []
    for module in modules:
        module.register_forward_hook(lambda _, inputs, output: outputs.append(output))
    return names, outputs


def grad_cam(activation, gradient):
    """Equations 1 and 2 of Selvaraju et al. 2017: (1, C, H, W) twice to (H, W)."""
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * activation).sum(dim=1).relu()[0]


def explain(case, folder):
    """Grad-CAM of every stage and saliency of one image, for the predicted class and the least likely."""
    weights = load_file(folder / "initial.safetensors")
    images = load_file(folder / "images.safetensors")["images"]
    # Running statistics as after some training: first weights come with 0 and 1.
    trained = build(case)
    trained.load_state_dict(weights, strict=True)
    with torch.no_grad():
        for batch in images[:256].split(32):
            trained(batch)
    weights = trained.state_dict()
    save_file(weights, folder / "weights.safetensors")

    single, double = Frozen(case, weights, torch.float32), Frozen(case, weights, torch.float64)
    chosen, margin = pick_batch(single, double, images, iter(torch.arange(TRIES).split(1)))
    names, outputs = record_stages(single.model)
    image = images[chosen].requires_grad_()
    logits = single.model(image)
    out = {"image": chosen, "logits": logits.detach()}
    out["classes"] = torch.stack([logits[0].argmax(), logits[0].argmin()])
    for idx in out["classes"].tolist():
        score = logits[0, idx]
        to_image, *to_stages = torch.autograd.grad(score, [image, *outputs], retain_graph=True)
        maps = {"saliency": to_image.abs().amax(dim=1)[0]}
        for name, output, gradient in zip(names, outputs, to_stages, strict=True):
            maps[name] = grad_cam(output, gradient)
        out |= {f"{idx}.{name}": m.detach().contiguous() for name, m in maps.items()}
    save_file(out, folder / "explained.safetensors")
    print(f"{case['name']}: image {chosen.item()}, margin {margin:.1f}")


def relative_error(got, want):
    return ((got.double() - want.double()).norm() / want.double().norm()).item()


def eval_logits(model, images):
    model.eval()
    with torch.no_grad():
        return model(images)


def curve(n_steps, lr, make):
    """The learning rate and beta1 that steps 0, 1, … n_steps - 1 run with."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=lr, betas=(0.9, 0.999))
    schedule = make(optimizer)
    rates, beta1s = [], []
    for step in range(n_steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        beta1s.append(float(optimizer.param_groups[0]["betas"][0]))
        optimizer.step()
        if step + 1 < n_steps:
            schedule.step()
    return {"total_steps": n_steps, "peak_lr": lr, "lr": rates, "beta1": beta1s}


def schedules():
    """Curves of OneCycleLR (torch's defaults but for what is named), cosine and step decay."""
    found = []
    for total, peak, warmup in [
        (10, 0.1, 0.3),
        (97, 2e-3, 0.23),
        (100, 1e-3, 0.3),
        (391, 3e-3, 0.3),
        (1000, 1.0, 0.05),
        (1563, 0.01, 0.5),
        (3910, 3e-3, 0.3),
        (3910, 5e-3, 0.1),
    ]:
        values = curve(
            total, peak, lambda o: lr_scheduler.OneCycleLR(o, max_lr=peak, total_steps=total, pct_start=warmup)
        )
        found.append({"kind": "one-cycle", "pct_start": warmup, **values})
    for total, peak in [(100, 0.1), (391, 3e-3), (7, 1.0)]:
        values = curve(total, peak, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=total))
        found.append({"kind": "cosine", **values})
    for total, peak, every, gamma in [(100, 0.1, 30, 0.1), (391, 3e-3, 50, 0.5), (9, 1.0, 1, 0.9)]:
        values = curve(total, peak, lambda o: lr_scheduler.StepLR(o, step_size=every, gamma=gamma))
        found.append({"kind": "step", "every": every, "gamma": gamma, **values})
    return found


def main(arguments):
    torch.set_float32_matmul_precision("highest")
    match arguments:
        case ["train", case_file, folder]:
            train(json.loads(Path(case_file).read_text()), Path(folder))
        case ["airbench94", case_file, folder]:
            airbench94_parts(json.loads(Path(case_file).read_text()), Path(folder))
        case ["explain", case_file, folder]:
            explain(json.loads(Path(case_file).read_text()), Path(folder))
        case ["schedules", file]:
            Path(file).write_text(json.dumps(schedules()))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
