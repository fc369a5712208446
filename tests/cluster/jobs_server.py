"""A head that only seems to be one: as much of Ray's dashboard as `ganray.cluster.jobs_client` talks to."""

import asyncio
import threading

from aiohttp import web

VERSION = "2.60.0"


class FakeHead:
    """Answers on a free port of this machine, in a thread; its state may be changed while it runs."""

    def __init__(self, token=None, ray_version=VERSION):
        self.token, self.ray_version = token, ray_version
        self.session = "session_of_nobody"
        self.jobs, self.logs, self.stopped = {}, {}, []
        self.packages, self.authorizations = {}, []
        self.breaks = 0
        """How often a stream of logs ends too early."""
        self.on_submit = self.on_stop = lambda job: None
        self.loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def put(self, job_id, status="RUNNING", log="", **more):
        metadata = {"experiment": job_id.split("-")[1], "ganray": "0.1.0", "runs": "s3://b/runs", "store": "s3://b/s"}
        job = {"type": "SUBMISSION", "submission_id": job_id, "status": status, "entrypoint": "x",
               "metadata": metadata, "start_time": 1_000_000, **more}  # fmt: skip
        self.jobs[job_id], self.logs[job_id] = job, log
        return job

    def _serve(self):
        asyncio.set_event_loop(self.loop)
        app = web.Application(middlewares=[self._guard], client_max_size=100_000_000)
        app.add_routes(
            [
                web.get("/api/authentication_mode", self._mode),
                web.get("/api/version", self._version),
                web.get("/api/jobs/", self._list),
                web.post("/api/jobs/", self._submit),
                web.get("/api/jobs/{job}", self._get),
                web.get("/api/jobs/{job}/logs", self._logs),
                web.get("/api/jobs/{job}/logs/tail", self._tail),
                web.post("/api/jobs/{job}/stop", self._stop),
                web.get("/api/packages/{protocol}/{name}", self._package),
                web.put("/api/packages/{protocol}/{name}", self._upload),
            ]
        )
        runner = web.AppRunner(app)
        self.loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self.loop.run_until_complete(site.start())
        self.port = site._server.sockets[0].getsockname()[1]
        self._ready.set()
        self.loop.run_forever()
        self.loop.run_until_complete(runner.cleanup())

    @web.middleware
    async def _guard(self, request, handler):
        sent = request.headers.get("Authorization")
        self.authorizations.append(sent)
        if self.token and request.path != "/api/authentication_mode" and sent != f"Bearer {self.token}":
            return web.Response(status=403 if sent else 401, text="Unauthorized")
        return await handler(request)

    async def _mode(self, request):
        return web.json_response({"authentication_mode": "token" if self.token else "disabled"})

    async def _version(self, request):
        said = {"version": "4", "ray_version": self.ray_version, "ray_commit": "", "session_name": self.session}
        return web.json_response(said)

    async def _list(self, request):
        return web.json_response(list(self.jobs.values()))

    async def _submit(self, request):
        asked = await request.json()
        job = self.put(asked["submission_id"], "PENDING")
        job.update(metadata=asked["metadata"], entrypoint=asked["entrypoint"], runtime_env=asked["runtime_env"])
        self.on_submit(job)
        return web.json_response({"job_id": asked["submission_id"], "submission_id": asked["submission_id"]})

    async def _get(self, request):
        return web.json_response(self.jobs[request.match_info["job"]])

    async def _logs(self, request):
        return web.json_response({"logs": self.logs[request.match_info["job"]]})

    async def _tail(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        log = self.logs[request.match_info["job"]]
        if self.breaks:
            self.breaks -= 1
            await socket.send_str(log[: len(log) // 2])
            request.transport.close()
            return socket
        for start in range(0, len(log), 7):
            await socket.send_str(log[start : start + 7])
        await socket.close()
        return socket

    async def _stop(self, request):
        job = self.jobs[request.match_info["job"]]
        running = job["status"] in ("PENDING", "RUNNING")
        self.stopped.append(job["submission_id"])
        self.on_stop(job)
        return web.json_response({"stopped": running})

    async def _package(self, request):
        return web.Response(status=200 if request.match_info["name"] in self.packages else 404)

    async def _upload(self, request):
        self.packages[request.match_info["name"]] = await request.read()
        return web.Response()
