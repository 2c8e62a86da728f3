"""What `cordon serve` is compared with: each request becomes one `docker run`, by the docker client."""
import shlex
import subprocess

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Request(BaseModel):
    cmd: str
    args: str


@app.post("/execute")
def execute(request: Request) -> dict[str, str]:
    command = ["docker", "run", "--rm", *shlex.split(request.args), "sh", "-c", request.cmd]
    done = subprocess.run(command, capture_output=True, text=True)
    return {"stdout": done.stdout, "stderr": done.stderr}
