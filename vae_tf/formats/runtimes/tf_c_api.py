"""Outputs of SavedModel signatures from the C++ loader: a program of its own, not a module.

`python -I -S tf_c_api.py < request.json > answer.json` calls TensorFlow's C API by ctypes, with
nothing but the standard library importable. `TF_LoadSessionFromSavedModel` is the loader TF
Serving uses; `tf.saved_model.load` accepts files which that loader cannot run.

Request: `{"libraries": [paths, in loading order], "runs": [{"saved_model": directory,
"signature": name, "inputs": {name: array}}]}`. Answer: `{"runs": [{name: array}]}`, or
`{"error": text}`. An array is `{"dtype": name, "shape": [...], "data": base64 of C order}`, of
strings a list of base64.

With `--lines` each line is a request, and so is answered; SavedModels stay loaded between them.
"""

import base64
import ctypes
import json
import os
import sys
from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p

STRING, STRING_BYTES = 7, 24  # TF_STRING, sizeof(TF_TString)
DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 9: "int64", 10: "bool"}
DTYPES[STRING] = "string"
CODES = {name: code for code, name in DTYPES.items()}


class Buffer(ctypes.Structure):
    """TF_Buffer."""

    _fields_ = [("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p)]


class Output(ctypes.Structure):
    """TF_Output."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


# ctypes takes every result for a C int, which cuts pointers in half; hence the full table.
FUNCTIONS: dict[str, tuple] = {
    "TF_NewStatus": (c_void_p,),
    "TF_GetCode": (c_int, c_void_p),
    "TF_Message": (c_char_p, c_void_p),
    "TF_NewBuffer": (POINTER(Buffer),),
    "TF_NewGraph": (c_void_p,),
    "TF_NewSessionOptions": (c_void_p,),
    "TF_LoadSessionFromSavedModel": (
        *(c_void_p, c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int),
        *(c_void_p, POINTER(Buffer), c_void_p),
    ),
    "TF_GraphOperationByName": (c_void_p, c_void_p, c_char_p),
    "TF_AllocateTensor": (c_void_p, c_int, POINTER(c_int64), c_int, c_size_t),
    "TF_DeleteTensor": (None, c_void_p),
    "TF_TensorData": (c_void_p, c_void_p),
    "TF_TensorByteSize": (c_size_t, c_void_p),
    "TF_StringInit": (None, c_void_p),
    "TF_StringCopy": (None, c_void_p, c_char_p, c_size_t),
    "TF_StringGetDataPointer": (c_void_p, c_void_p),
    "TF_StringGetSize": (c_size_t, c_void_p),
    "TF_TensorType": (c_int, c_void_p),
    "TF_NumDims": (c_int, c_void_p),
    "TF_Dim": (c_int64, c_void_p, c_int),
    "TF_SessionRun": (
        *(None, c_void_p, c_void_p, POINTER(Output), POINTER(c_void_p), c_int),
        *(POINTER(Output), POINTER(c_void_p), c_int, c_void_p, c_int, c_void_p, c_void_p),
    ),
}


def open_library(paths: list[str]) -> ctypes.CDLL:
    """Returns the C API; the last of `paths` holds it, the ones before are its dependencies."""
    # The default RTLD_LOCAL: with RTLD_GLOBAL a later `import tensorflow` crashes.
    library = [ctypes.CDLL(path) for path in paths][-1]
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns the protobuf varint that starts `at`, and the position after it."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields (number, payload) of the length-delimited fields of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            at = varint(data, at)[1]
        elif kind == 2:
            length, at = varint(data, at)
            yield key >> 3, data[at : at + length]
            at += length
        else:
            at += 8 if kind == 1 else 4


def entries(message: bytes, field: int) -> dict[str, bytes]:
    """Returns the map stored in `field` of a message: entry key -> entry value."""
    pairs = (dict(fields(payload)) for number, payload in fields(message) if number == field)
    return {pair[1].decode(): pair.get(2, b"") for pair in pairs}


def signatures(meta_graph: bytes) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Returns signature -> (input name -> tensor, output name -> tensor) of a MetaGraphDef."""
    found = {}
    for name, signature in entries(meta_graph, 5).items():  # MetaGraphDef.signature_def
        ends = []
        for field in (1, 2):  # SignatureDef.inputs, .outputs: maps to TensorInfo
            infos = entries(signature, field)
            ends.append({key: dict(fields(info))[1].decode() for key, info in infos.items()})
        found[name] = (ends[0], ends[1])
    return found


class Session:
    """A SavedModel in the C++ runtime."""

    def __init__(self, api: ctypes.CDLL, directory: str):
        self.api, self.status, self.graph = api, api.TF_NewStatus(), api.TF_NewGraph()
        buffer = api.TF_NewBuffer()
        options, tags = api.TF_NewSessionOptions(), (c_char_p * 1)(b"serve")
        self.session = api.TF_LoadSessionFromSavedModel(
            options, None, os.fsencode(directory), tags, 1, self.graph, buffer, self.status
        )
        self.check()
        meta_graph = ctypes.string_at(buffer.contents.data, buffer.contents.length)
        self.signatures = signatures(meta_graph)

    def check(self) -> None:
        """Raises RuntimeError with the text of the last call's status, unless that was OK."""
        if self.api.TF_GetCode(self.status) != 0:
            raise RuntimeError(self.api.TF_Message(self.status).decode(errors="replace"))

    def end(self, tensor: str) -> Output:
        """Returns the graph's end called `tensor`, e.g. `encode_image:0`."""
        operation, index = tensor.rsplit(":", 1)
        return Output(self.api.TF_GraphOperationByName(self.graph, operation.encode()), int(index))

    def tensor(self, array: dict) -> int:
        """Returns a new TF_Tensor with the contents of `array`."""
        shape, code = array["shape"], CODES[array["dtype"]]
        dims = (c_int64 * len(shape))(*shape)
        if code == STRING:
            size = STRING_BYTES * len(array["data"])
            tensor = self.api.TF_AllocateTensor(code, dims, len(shape), size)
            for place, text in zip(self.places(tensor), array["data"], strict=True):
                string = base64.b64decode(text)
                self.api.TF_StringInit(place)
                self.api.TF_StringCopy(place, string, len(string))
            return tensor
        data = base64.b64decode(array["data"])
        tensor = self.api.TF_AllocateTensor(code, dims, len(shape), len(data))
        ctypes.memmove(self.api.TF_TensorData(tensor), data, len(data))
        return tensor

    def places(self, tensor: int) -> list[int]:
        """Returns the addresses of the strings in a TF_Tensor."""
        count = self.api.TF_TensorByteSize(tensor) // STRING_BYTES
        first = self.api.TF_TensorData(tensor) if count else 0
        return [first + STRING_BYTES * i for i in range(count)]

    def string(self, place: int) -> bytes:
        """Returns the string at an address."""
        size = self.api.TF_StringGetSize(place)
        return ctypes.string_at(self.api.TF_StringGetDataPointer(place), size) if size else b""

    def array(self, tensor: int) -> dict:
        """Returns the contents of a TF_Tensor."""
        shape = [self.api.TF_Dim(tensor, d) for d in range(self.api.TF_NumDims(tensor))]
        dtype = DTYPES[self.api.TF_TensorType(tensor)]
        if dtype == "string":
            strings = map(self.string, self.places(tensor))
            texts = [base64.b64encode(string).decode() for string in strings]
            return {"dtype": dtype, "shape": shape, "data": texts}
        size = self.api.TF_TensorByteSize(tensor)
        # An empty tensor may have no data at all.
        data = ctypes.string_at(self.api.TF_TensorData(tensor), size) if size else b""
        return {"dtype": dtype, "shape": shape, "data": base64.b64encode(data).decode()}

    def run(self, signature: str, inputs: dict) -> dict:
        """Returns the outputs of one signature, name -> array."""
        if signature not in self.signatures:
            raise RuntimeError(f"no signature {signature!r} among {sorted(self.signatures)}")
        sources, sinks = self.signatures[signature]
        if set(sources) != set(inputs):
            raise RuntimeError(f"inputs are {sorted(sources)}, not {sorted(inputs)}")
        feeds = (Output * len(sources))(*[self.end(tensor) for tensor in sources.values()])
        fetches = (Output * len(sinks))(*[self.end(tensor) for tensor in sinks.values()])
        given = (c_void_p * len(sources))(*[self.tensor(inputs[name]) for name in sources])
        taken = (c_void_p * len(sinks))()
        ends = feeds, given, len(feeds), fetches, taken, len(fetches)
        self.api.TF_SessionRun(self.session, None, *ends, None, 0, None, self.status)
        self.check()
        outputs = {name: self.array(tensor) for name, tensor in zip(sinks, taken, strict=True)}
        for tensor in (*given, *taken):
            self.api.TF_DeleteTensor(tensor)
        return outputs


def answer(request: dict, sessions: dict[str, Session]) -> dict:
    """Returns the answer to one request; a SavedModel that is not in `sessions` is loaded."""
    results = []
    for run in request["runs"]:
        directory = run["saved_model"]
        try:
            if directory not in sessions:
                sessions[directory] = Session(open_library(request["libraries"]), directory)
            results.append(sessions[directory].run(run["signature"], run["inputs"]))
        except RuntimeError as error:
            return {"error": f"{directory}: {run['signature']}: {error}"}
    return {"runs": results}


def reply(text: str, sessions: dict[str, Session]) -> str:
    """Returns the answer to the text of a request."""
    try:
        return json.dumps(answer(json.loads(text), sessions))
    except OSError as error:
        return json.dumps({"error": str(error)})


def main() -> None:
    """Answers the request, or with `--lines` the requests, on standard input."""
    # Whatever the runtime prints goes to standard error; the pipe carries the answer alone.
    pipe = os.dup(1)
    os.dup2(2, 1)
    sessions: dict[str, Session] = {}
    with os.fdopen(pipe, "w") as stream:
        for text in sys.stdin if "--lines" in sys.argv else [sys.stdin.read()]:
            print(reply(text, sessions), file=stream, flush=True)


if __name__ == "__main__":
    main()
