"""Runs notebooks through nbclient (used by magics_test.ts).

magics_notebook.py: reads {"cells": [SOURCE…]} or {"notebook": PATH} with {"extension": NAME} from stdin, runs it in the
working directory, and prints for each code cell a list of [KIND, TEXT]: stdout, stderr, result, or the name of an
exception. With {"save": PATH} the notebook is kept, its outputs in it.
"""

import json
import re
import sys

import nbformat
from nbclient import NotebookClient

job = json.load(sys.stdin)
if "notebook" in job:
    document = nbformat.read(job["notebook"], as_version=4)
    for cell in document.cells:
        cell.source = re.sub(r"(?m)^%load_ext \w+", f"%load_ext {job.get('extension', 'cordon')}", cell.source)
else:
    document = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in job["cells"]])

NotebookClient(document, kernel_name="python3", timeout=240, allow_errors=True).execute()
if "save" in job:
    nbformat.write(document, job["save"])


def told(output):
    if output.output_type == "stream":
        # What runs on the machine itself writes to a terminal of IPython's.
        return [output.name, output.text.replace("\r\n", "\n")]
    if output.output_type == "error":
        return [output.ename, output.evalue]
    return ["result", output.data["text/plain"]]


def joined(outputs):
    """Pieces of one stream that came one after the other, as one."""
    whole = []
    for kind, text in map(told, outputs):
        if whole and whole[-1][0] == kind:
            whole[-1][1] += text
        else:
            whole.append([kind, text])
    return whole


print(json.dumps([joined(cell.outputs) for cell in document.cells if cell.cell_type == "code"]))
