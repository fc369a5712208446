"""How the workers of a group find each other: on this machine alone in a file, on a cluster as Ray does it."""

import os
import tempfile
from dataclasses import dataclass
from typing import Any

import ray
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _setup_torch_process_group, _TorchBackend

from ganray.cluster.loopback import LOOPBACK


@dataclass
class LocalTorchConfig(TorchConfig):
    """Ray's, but workers on the loopback address meet in a file: torch's store listens on every interface."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        return _Backend


class _Backend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        meeting = worker_group.execute_single(0, meeting_place)
        if meeting is None:
            super().on_start(worker_group, backend_config)
            return
        gpus = worker_group.get_resources_per_worker().get("GPU", 0)
        worker_group.execute(_set_torch_distributed_env_vars)
        ray.get([
            worker_group.execute_single_async(
                rank,
                _setup_torch_process_group,
                backend=backend_config.backend or ("nccl" if gpus else "gloo"),
                world_rank=rank,
                world_size=len(worker_group),
                init_method=f"file://{meeting}",
                timeout_s=backend_config.timeout_s,
            )
            for rank in range(len(worker_group))
        ])  # fmt: skip


def meeting_place() -> str | None:
    """A new file in a folder that only this user can read, where this node is on the loopback address; else None."""
    if ray.util.get_node_ip_address() != LOOPBACK:
        return None
    # Ray's own folder of this run: what a killed worker leaves there is Ray's to clean up.
    folder = tempfile.mkdtemp(prefix="ganray-", dir=_session_folder())
    return os.path.join(folder, "workers")


def _session_folder() -> str:
    from ray._private.worker import global_worker

    assert global_worker.node is not None
    return str(global_worker.node.get_session_dir_path())
