"""Gives back the placement groups of Train controllers that died: Ray keeps them as long as the job lives."""

import ray


def clear_rooms() -> list[str]:
    """Remove what dead actors of this job hold; return the ids. Asks the GCS, so that no dashboard is needed."""
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # type: ignore[attr-defined]
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    ours = ray.get_runtime_context().get_job_id()
    removed = PlacementGroupTableData.REMOVED
    cleared = []
    for raw in state._connect_and_get_accessor().get_placement_group_table():
        group = PlacementGroupTableData.FromString(raw)
        # What the driver itself has made (Tune's groups) has no creator that could die before the job.
        by_actor = group.creator_actor_id.strip(b"\xff")
        is_orphan = by_actor and group.creator_actor_dead and group.creator_job_id.hex() == ours
        if is_orphan and group.state != removed:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(group.placement_group_id)))
            cleared.append(group.placement_group_id.hex())
    return cleared
