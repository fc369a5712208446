"""Two nodes on this machine, looked at by the doctor: prints its report as JSON.

python doctor_driver.py EXPERIMENT
"""

import sys

from ganray.cluster.settings import ENVIRONMENT


def main():
    import os
    from pathlib import Path

    os.environ.update(ENVIRONMENT)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        from ganray.cluster.doctor import DoctorOptions, as_json, diagnose

        print(as_json(diagnose(DoctorOptions(address=cluster.address, experiment=Path(sys.argv[1])))))
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
