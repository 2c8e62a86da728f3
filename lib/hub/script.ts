/** The script `batchspawner-portwrap`: batchspawner hands what stands in `c.Spawner.cmd` to Python, so it is Python. */
import { pythonString } from "../jupyter/magics.ts";

/** Its text; `cordon` is the executable's path. */
export function batchspawnerScript(cordon: string): string {
  return `#!/usr/bin/env python3
"""Runs jupyterhub-singleuser, or what else follows, under cordon portwrap.

batchspawner-singleuser runs this file inside its own Python; from here on it is cordon.
"""
import os
import sys

CORDON = ${pythonString(cordon)}

try:
    os.execv(CORDON, ["batchspawner-portwrap"] + sys.argv[1:])
except OSError as error:
    sys.exit("batchspawner-portwrap: %s: %s" % (CORDON, error.strerror))
`;
}
