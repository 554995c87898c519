"""DiffMM (Jiang et al., ACM MM 2024, arXiv 2406.11781)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from bench.graph.propagate import propagate, symmetric_norm
from bench.graph.stages import Bipartite, SelfLoops, SymNorm
from bench.graph.view import View
from bench.methods.base import Context, GradientConfig, Group, Loss, Needs, PairBatch
from bench.methods.layers.content import ContentRecommender
from bench.methods.layers.contrast import info_nce_over_all
from bench.methods.layers.diffusion import Denoiser, Schedule, row_errors
from bench.methods.layers.embedding import Representation, table, take
from bench.methods.layers.history_batch import HistoryBatch, HistoryRecommender
from bench.methods.layers.losses import bpr
from bench.spec.space import Choices

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.data.types import ModalityInfo
    from bench.graph.stages import Stage
    from bench.spec.config import MethodConfig

FIRST_BETA = 1e-4
USERS_PER_BLOCK = 512


class DiffMM(HistoryRecommender, ContentRecommender):
    """One diffusion per modality makes a user-item graph; the graphs feed and contrast a graph recommender.

    Each epoch: the denoisers take one pass over all users (their own Adam each), every user's rows are denoised and the
    top items become the edges of the modality's graph, then the recommender is trained on those graphs. Formulas
    follow the authors' code (HKUDS/DiffMM at fae20e6). The code picks its epoch on test; here it is the validation's.
    It draws negatives from all items, those without a training row too; here, as for every pairwise method, from those
    with one. The graphs are saved with the weights, so that a saved epoch is scored on its own graphs.
    """

    needs: ClassVar[Needs] = Needs(at_least=2)

    class Config(GradientConfig):
        """Settings of `diffmm`; defaults of the authors' Params.py, choices of their commands for three datasets."""

        lr: float = 1e-3
        """Adam's step size, of the recommender and of the denoisers."""
        batch_size: int = 1024
        """Rows in a batch, and users in a batch of the diffusion."""
        dim: int = 64
        """d, width of all representations."""
        layers: int = 1
        """Layers over the user-item graph."""
        reg: Annotated[float, Choices(1e-6, 1e-5, 1e-4)] = 1e-5
        """Weight of ‖P‖² + ‖Q‖² over the full tables."""
        ssl: Annotated[float, Choices(1e-2, 1e-1)] = 1e-2
        """Weight of the contrastive loss (`ssl_reg`)."""
        temperature: Annotated[float, Choices(0.1, 0.5)] = 0.5
        """τ of the contrastive loss."""
        contrast: Annotated[Literal["modalities", "main"], Choices("modalities", "main")] = "modalities"
        """Contrasted views (`cl_method`): the modalities' views with each other (0), or each with the main view (1)."""
        projection: Annotated[Literal["leaky", "linear"], Choices("leaky", "linear")] = "leaky"
        """Of raw features (`trans`): LeakyReLU(0.2) of a product without bias (0), or a Linear (1)."""
        residual: Annotated[float, Choices(0.1, 0.5)] = 0.5
        """Weight of the normalised fused modalities in the output (`ris_lambda`)."""
        modal_graph: float = 0.2
        """Weight of a modality's own graph in its representation (`ris_adj_lambda`)."""
        keep_edges: Annotated[float, Choices(0.5, 1.0), Field(gt=0, le=1)] = 0.5
        """Share of the modal graphs' edges that is kept (`keepRate`)."""
        top: int = 1
        """Items per user that become edges of a modality's graph (`rebuild_k`)."""
        alignment: Annotated[float, Choices(0.01, 0.1, 0.5)] = 0.1
        """Weight of the term that pulls denoised content towards the item embeddings (`e_loss`)."""
        hidden: int = 1000
        """Units of a denoiser's hidden layer."""
        time_width: int = 10
        """Width of the time embedding."""
        dropout: float = 0.5
        """Share of the noisy row's entries set to 0 in a denoiser's training."""
        steps: int = Field(default=5, ge=1)
        """T, diffusion steps."""
        noise_scale: float = Field(default=0.1, gt=0)
        """s: 1 − ᾱ grows from s · noise_min to s · noise_max."""
        noise_min: float = 1e-4
        """See noise_scale."""
        noise_max: float = 2e-2
        """See noise_scale."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context)
        self.config = config
        dim, dtype = config.dim, context.dtype
        self.users = table(self.n_users, dim, dtype)
        self.items = table(self.n_items, dim, dtype)
        self.names = tuple(context.data.modalities)
        self.modality_logits = nn.Parameter(torch.full((len(self.names),), 1.0 / len(self.names), dtype=dtype))
        low, high = config.noise_scale * config.noise_min, config.noise_scale * config.noise_max
        self.schedule = Schedule.linear_variance(config.steps, low, high, first_beta=FIRST_BETA)
        self.project, self.denoisers = nn.ModuleDict(), nn.ModuleDict()
        self.top = min(config.top, self.n_items)
        edges = 2 * self.n_users * self.top + self.n_users + self.n_items
        for name in self.names:
            features = context.features(name)
            self.register_buffer(f"features_{name}", features, persistent=False)
            project = nn.Linear(features.shape[1], dim, bias=config.projection == "linear", dtype=dtype)
            if config.projection == "leaky":
                nn.init.xavier_uniform_(project.weight)
            self.project[name] = project
            self.denoisers[name] = Denoiser(self.n_items, config.hidden, config.time_width, config.dropout, dtype)
            # -1: before the first epoch a modality's graph has no edges but those of the nodes to themselves.
            self.register_buffer(f"top_{name}", torch.full((self.n_users, self.top), -1))
            self.register_buffer(f"kept_{name}", torch.ones(edges, dtype=torch.bool))
        self.graph = context.views["ui"]
        self.modal_graphs: dict[str, View] = {}
        self._user_order: Tensor | None = None

    @classmethod
    def views(cls, config: MethodConfig, modalities: Mapping[str, ModalityInfo]) -> dict[str, tuple[Stage, ...]]:
        """Returns the user-item graph with self loops, D^-½ (A + I) D^-½."""
        return {"ui": (Bipartite(), SelfLoops(), SymNorm())}

    def groups(self) -> dict[str, Group]:
        """Returns the recommender's optimiser, named "", and one per denoiser."""
        denoisers = {f"denoise_{name}": list(self.denoisers[name].parameters()) for name in self.names}
        theirs = {id(parameter) for parameters in denoisers.values() for parameter in parameters}
        main = [parameter for parameter in self.parameters() if id(parameter) not in theirs]
        return {
            name: Group(parameters, self.config.lr, weight_decay=self.config.weight_decay)
            for name, parameters in {"": main, **denoisers}.items()
        }

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Draws the order of the users for the diffusion and the edges of the modal graphs that are kept."""
        if self._user_order is not None and epoch > 1:
            raise TypeError("diffmm is trained by `steps`: the adapter around it passes `groups` and `steps` on")
        self._user_order = torch.randperm(self.n_users, generator=generator)
        for name in self.names:
            kept = self.get_buffer(f"kept_{name}")
            kept.copy_(torch.rand(kept.numel(), generator=generator) < self.config.keep_edges)

    def steps(self, batch: PairBatch) -> Iterator[tuple[str, Loss]]:
        """Yields the recommender's step; the epoch's first call trains the denoisers and rebuilds the graphs before."""
        if self._user_order is not None:
            for users in self._user_order.to(batch.users.device).split(self.config.batch_size):
                rows = self.batch_of(users)
                for name in self.names:
                    yield f"denoise_{name}", self.diffusion_loss(name, rows)
            self.rebuild()
            self._user_order = None
        yield "", self.loss(batch)

    def diffusion_loss(self, name: str, batch: HistoryBatch) -> Loss:
        """Returns a denoiser's loss at uniform steps under fresh noise."""
        clean = batch.dense(self.n_items, self.users.dtype)
        steps = torch.randint(self.config.steps, (len(clean),), device=clean.device)
        return self.diffusion_terms(name, clean, steps, torch.randn_like(clean))

    def diffusion_terms(self, name: str, clean: Tensor, steps: Tensor, noise: Tensor) -> Loss:
        """Returns the weighted error of x̂_0 + alignment · MSE(x̂_0 F_m, x_0 Q), F_m and Q detached.

        Args:
            name: The modality.
            clean: (B, items) x_0.
            steps: (B,) int64.
            noise: (B, items).
        """
        predicted = self.denoisers[name](self.schedule.noisy(clean, steps, noise), steps)
        error = (self.schedule.weights(steps, clean.dtype) * row_errors(predicted, clean)).mean()
        with torch.no_grad():
            content, behaviour = self.features(name), clean @ self.items
        aligned = functional.mse_loss(predicted @ content, behaviour)
        return Loss(error + self.config.alignment * aligned, {"error": error, "alignment": aligned})

    @torch.no_grad()
    def rebuild(self) -> None:
        """Denoises every user's row, T steps from the clean one, and keeps the top items as edges."""
        users = torch.arange(self.n_users, device=self.users.device)
        for name in self.names:
            denoiser, found = cast("Denoiser", self.denoisers[name]), self.get_buffer(f"top_{name}")
            reverse = denoiser.reverse()
            for part in users.split(USERS_PER_BLOCK):
                projected = denoiser.project(self.batch_of(part).histories)
                scores = denoiser.denoise(projected, self.schedule, reverse)
                # One maximum is found several times as fast as a top-1.
                best = scores.argmax(1, keepdim=True) if self.top == 1 else scores.topk(self.top, dim=1).indices
                found[part] = best
        self.read_graphs()

    def read_graphs(self) -> None:
        """Makes the modal graphs of the saved top items: D^-½ (A + I) D^-½, then edges dropped and the rest scaled."""
        nodes = torch.arange(self.n_users + self.n_items, device=self.users.device)
        shape = (len(nodes), len(nodes))
        users = nodes[: self.n_users].repeat_interleave(self.top)
        for name in self.names:
            top = self.get_buffer(f"top_{name}").flatten()
            items = top + self.n_users
            rows, cols = torch.cat([users, items, nodes]), torch.cat([items, users, nodes])
            made = torch.cat([top >= 0, top >= 0, torch.ones_like(nodes, dtype=torch.bool)])
            rows, cols, kept = rows[made], cols[made], self.get_buffer(f"kept_{name}")[made]
            weights = symmetric_norm(rows, cols, self.users.new_ones(len(rows)), shape, 0.0)
            self.modal_graphs[name] = View.from_edges(
                rows[kept], cols[kept], weights[kept] / self.config.keep_edges, shape
            )

    def features(self, name: str) -> Tensor:
        """Returns a modality's projected content, (items, d)."""
        projected: Tensor = self.project[name](self.get_buffer(f"features_{name}"))
        if self.config.projection == "leaky":
            projected = functional.leaky_relu(projected, 0.2)
        if self.content_adapter is not None:
            projected = self.content_adapter(name, projected, self.items)
        return projected

    def _content_nodes(self) -> list[Tensor]:
        return [torch.cat([self.users, functional.normalize(self.features(name), dim=1)]) for name in self.names]

    def _main(self, content: list[Tensor]) -> Representation:
        dim, count = self.config.dim, len(self.names)
        # The modalities side by side: the graph is read once for all of them.
        first = propagate(self.graph, torch.cat(content, dim=1))
        second = propagate(self.graph, torch.cat([first[: self.n_users], self.items.repeat(1, count)]))
        ids = torch.cat([self.users, self.items])
        share = torch.softmax(self.modality_logits, dim=0)
        fused = torch.zeros_like(ids)
        for m, (name, nodes) in enumerate(zip(self.names, (first + second).split(dim, dim=1), strict=True)):
            fused = fused + share[m] * (nodes + self.config.modal_graph * propagate(self.modal_graphs[name], ids))
        nodes = self._spread(fused) + self.config.residual * functional.normalize(fused, dim=1)
        return Representation(*nodes.split([self.n_users, self.n_items]))

    def _spread(self, start: Tensor) -> Tensor:
        total = current = start
        for _ in range(self.config.layers):
            current = propagate(self.graph, current)
            total = total + current
        return total

    def _views(self, content: list[Tensor]) -> list[Representation]:
        """Each modality's view of users and items, over its own graph and then the main one."""
        hops = [propagate(self.modal_graphs[name], nodes) for name, nodes in zip(self.names, content, strict=True)]
        wide = self._spread(torch.cat(hops, dim=1))
        return [Representation(*nodes.split([self.n_users, self.n_items])) for nodes in wide.split(self.config.dim, 1)]

    def represent(self) -> Representation:
        """Returns the main view."""
        if not self.modal_graphs:
            self.read_graphs()
        return self._main(self._content_nodes())

    def contrastive_views(self) -> list[Representation]:
        """Returns the modalities' views, in the dataset's order."""
        if not self.modal_graphs:
            self.read_graphs()
        return self._views(self._content_nodes())

    def begin_scoring(self) -> None:
        """Reads the graphs anew, which loading weights changes, and computes the representations."""
        self.read_graphs()
        super().begin_scoring()

    def loss(self, batch: PairBatch) -> Loss:
        """Returns Σ −log σ / B + reg · ‖P, Q‖² + ssl · InfoNCE; B is the configured batch size, also at the end."""
        if not self.modal_graphs:
            self.read_graphs()
        content = self._content_nodes()
        main, views = self._main(content), self._views(content)
        ranking = bpr(take(main.users, batch.users), take(main.items, batch.pos), take(main.items, batch.neg))
        parts = {
            "bpr": ranking * (batch.users.numel() / self.config.batch_size),
            "reg": self.config.reg * (self.users.square().sum() + self.items.square().sum()),
        }
        pairs = [(main, view) for view in views]
        if self.config.contrast == "modalities":
            pairs = list(itertools.combinations(views, 2))
        temperature = self.config.temperature
        parts["contrast"] = self.config.ssl * torch.stack(
            [
                info_nce_over_all(anchor.users, other.users, batch.users, temperature)
                + info_nce_over_all(anchor.items, other.items, batch.pos, temperature)
                for anchor, other in pairs
            ]
        ).sum()
        return Loss(parts["bpr"] + parts["reg"] + parts["contrast"], parts)


METHOD = DiffMM
