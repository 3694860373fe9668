"""Layer names: `fc6`, `relu5_3`, `block5_conv3`, `predictions`, `-2`, and names of graph nodes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imgcluster.backbones.networks import empty_network
from imgcluster.backbones.timm_networks import PRE_LOGITS, classifier_name
from imgcluster.config import Backbone
from imgcluster.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn
    from torchvision.models.feature_extraction import NodePathTracer

NAMED_IN_MESSAGES = 5
EFFICIENTNET_LITE_ALIASES = {"avgpool": "_avg_pooling"}
KERAS_FULLY_CONNECTED = {"fc1": "relu6", "fc2": "relu7"}
LOGITS = "logits"
PREDICTIONS = "predictions"  # Keras's name for the softmax of the logits, which is no node of its own
NUMBERED = re.compile(r"_\d+$")
NEGATIVE = re.compile(r"-[1-9]\d*")


@dataclass(frozen=True)
class Layers:
    """What can be asked of a network: its nodes in the order in which they are computed, and other names for them.

    `traced` says whether every step of the forward pass is a node, or only the modules: some networks branch on values.
    graph: what torchvision's graph calls the nodes that it calls otherwise. blocks: modules with others inside, where
    they can be asked for themselves; in a graph, a block is what it ends with.
    """

    nodes: list[str]
    aliases: dict[str, str]
    traced: bool
    graph: dict[str, str] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()

    def find(self, layer: str | int, network: str) -> str:
        """Return the node a name stands for. Raises ConfigError with the nearest names."""
        if (node := self.aliases.get(str(layer), str(layer))) in self.nodes:
            return node
        counted = [node for node in self.nodes if node != PRE_LOGITS]  # a number means what it meant without it
        if NEGATIVE.fullmatch(str(layer)) and -int(layer) <= len(counted):
            return counted[int(layer)]
        if str(layer) in self.blocks:
            return str(layer)
        if inside := [node for node in self.nodes if node.startswith(f"{layer}.")]:  # a block: what it ends with
            return inside[-1]
        hint = nearest(str(layer), [*self.aliases, *self.nodes])
        raise ConfigError(f"features.layer: {network} has no layer {str(layer)!r}{hint}")

    def is_predictions(self, layer: str | int) -> bool:
        """Say whether a layer is the softmax of what `find` returns for it."""
        return str(layer) == PREDICTIONS and PREDICTIONS in self.aliases


def nearest(name: str, known: list[str]) -> str:
    """Return the end of a message about a name that is not known: the names near it, or else the last ones."""
    near = difflib.get_close_matches(name, known, NAMED_IN_MESSAGES, 0.5) or known[-NAMED_IN_MESSAGES:]
    return f"; near it: {', '.join(near)}" if near else ""


def check_layers(backbone: Backbone, layers: Sequence[str | int]) -> None:
    """Raise ConfigError with the nearest names if the backbone lacks one of these layers. Needs no weights."""
    known = layers_of(empty_network(backbone))
    for layer in layers:
        known.find(layer, backbone.name)


def layers_of(model: nn.Module) -> Layers:
    """List the layers of a network. One that cannot be traced has its modules for layers."""
    from torch.fx.proxy import TraceError
    from torchvision.models.feature_extraction import get_graph_node_names

    was_training = model.training
    try:
        trained, evaluated = get_graph_node_names(model, suppress_diff_warning=True)
        both = set(trained)  # create_feature_extractor wants a node in both of its graphs
        nodes, traced = [node for node in evaluated[1:] if node in both], True  # the first is the input
    except (TraceError, TypeError, RuntimeError, ValueError):
        model.train(was_training)  # where tracing has left off
        nodes, traced = [name for name, module in model.named_modules() if name and not list(module.children())], False
    graph = _renamed(model) if traced else {}
    names = {node: name for name, node in graph.items()}
    nodes = [names.get(node, node) for node in nodes]
    theirs = {name: node for name, node in _aliases(model).items() if node in nodes}
    classes = {} if (logits := _logits(model, nodes, traced)) is None else {LOGITS: logits, PREDICTIONS: logits}
    blocks = () if traced else tuple(name for name, module in model.named_modules() if name and list(module.children()))
    known = Layers(nodes, {**classes, **theirs}, traced, graph, blocks)
    return _with_pre_logits(known, model) if hasattr(model, "pretrained_cfg") else known


def _renamed(model: nn.Module) -> dict[str, str]:
    """Return {module: node} of the modules whose node in torchvision's graph has another name.

    torchvision numbers equal names, and takes `ln_1` and `ln_2` for two modules named `ln`: they become `ln` and
    `ln_1`. In the graph of a ViT, the node `ln_1` is the module `ln_2`.
    """
    if not any(NUMBERED.search(name) for name, module in model.named_modules() if not list(module.children())):
        return {}
    tracer = _tracer()
    calls = [node for node in tracer.trace(model).nodes if node.op == "call_module"]
    first = {str(node.target): tracer.node_to_qualname[node] for node in reversed(calls)}
    return {target: node for target, node in first.items() if target != node}


def _tracer() -> NodePathTracer:
    """Return the tracer of `get_graph_node_names`, with its defaults as torchvision documents them."""
    import torchvision
    from torch import nn
    from torchvision.models.feature_extraction import NodePathTracer

    leaves = [each for each in vars(torchvision.ops).values() if isinstance(each, type) and issubclass(each, nn.Module)]
    return NodePathTracer(autowrap_modules=(math, torchvision.ops), leaf_modules=leaves)


def _logits(model: nn.Module, nodes: list[str], traced: bool) -> str | None:
    """Return the node that gives the scores of the classes; some networks of timm have none, nor has a formula."""
    from imgcluster.backbones.hog import OrientedGradients

    if isinstance(model, OrientedGradients):
        return None
    of_timm = getattr(model, "pretrained_cfg", None)
    if of_timm is None:
        return nodes[-1]
    a_node = traced or isinstance(of_timm.get("classifier"), str)  # the average of several classifiers is no module
    return nodes[-1] if model.num_classes and a_node else None


def _aliases(model: nn.Module) -> dict[str, str]:
    from torchvision.models import VGG, AlexNet

    if isinstance(model, VGG):
        return vgg_aliases(model)
    if isinstance(model, AlexNet):
        return alexnet_aliases(model)
    return EFFICIENTNET_LITE_ALIASES


def vgg_aliases(model: nn.Module) -> dict[str, str]:
    """Name the layers of a VGG as its paper does (Simonyan & Zisserman 2015, table 1), and as Keras does.

    Keras's convolutions include their ReLU: its `block5_conv3` is `relu5_3`. The names are counted off the modules, so
    that they hold for VGG11 to VGG19, with BatchNorm or without.
    """
    from torch import nn

    aliases: dict[str, str] = {}
    block, number = 1, 0
    for index, module in enumerate(model.get_submodule("features").children()):
        if isinstance(module, nn.MaxPool2d):
            aliases |= dict.fromkeys((f"pool{block}", f"block{block}_pool"), f"features.{index}")
            block, number = block + 1, 0
            continue
        number += isinstance(module, nn.Conv2d)
        aliases[f"{_kind(module)}{block}_{number}"] = f"features.{index}"
        if isinstance(module, nn.ReLU):
            aliases[f"block{block}_conv{number}"] = f"features.{index}"
    return aliases | _classifier_aliases(model)


def alexnet_aliases(model: nn.Module) -> dict[str, str]:
    """Name the layers of AlexNet by the number of the layer with weights they belong to: conv1 to conv5, fc6 to fc8."""
    from torch import nn

    aliases, number = {}, 0
    for index, module in enumerate(model.get_submodule("features").children()):
        number += isinstance(module, nn.Conv2d)
        aliases[f"{_kind(module)}{number}"] = f"features.{index}"
    return aliases | _classifier_aliases(model)


def _with_pre_logits(known: Layers, model: nn.Module) -> Layers:
    """Add timm's own vector in front of the classifier; of encoders, which have none, what the last step gives."""
    from imgcluster.backbones.timm_vector import VECTOR

    classifier = classifier_name(model)
    if classifier not in dict(model.named_modules()):
        return replace(known, aliases={**known.aliases, PRE_LOGITS: known.nodes[-1]})
    behind = (at for at, node in enumerate(known.nodes) if f"{node}.".startswith(f"{classifier}."))
    nodes = list(known.nodes)
    nodes.insert(next(behind, len(nodes)), PRE_LOGITS)
    return replace(known, nodes=nodes, graph={**known.graph, PRE_LOGITS: VECTOR})


def _classifier_aliases(model: nn.Module) -> dict[str, str]:
    from torch import nn

    aliases, number = {}, 5  # in VGG, five blocks come before the classifier; in AlexNet, five convolutions
    for index, module in enumerate(model.get_submodule("classifier").children()):
        number += isinstance(module, nn.Linear)
        aliases[f"{_kind(module)}{number}"] = f"classifier.{index}"
    return aliases | {keras: aliases[ours] for keras, ours in KERAS_FULLY_CONNECTED.items()}


def _kind(module: nn.Module) -> str:
    from torch import nn

    kinds = {
        nn.Conv2d: "conv",
        nn.BatchNorm2d: "bn",
        nn.ReLU: "relu",
        nn.MaxPool2d: "pool",
        nn.Linear: "fc",
        nn.Dropout: "drop",
    }
    return kinds[type(module)]
