#!/bin/sh
# Requests to TF Serving by curl: sh request.sh [HOST:PORT]
# Signatures that take a whole image as numbers are left to rest_client.py.
set -eu
server=http://${1:-localhost:8501}

predict() { # MODEL BODY
  curl --silent --show-error --fail-with-body --max-time 60 --write-out '\n' \
    "$server/v1/models/$1:predict" --data "$2"
}

save() { # FILE COMMAND...: the picture in the answer of COMMAND
  file=$1
  shift
  answer=$("$@") || { echo "$answer" >&2 && exit 1; }
  echo "$answer" | grep -o '"b64": *"[^"]*"' | cut -d '"' -f 4 | base64 -d >"$file"
}

echo encode_bytes:
predict encoder '{"signature_name": "encode_bytes", "instances": [{"image_bytes": {"b64": "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAAAAACMmsGiAAAAEUlEQVQImWP8z8DAwMSAQgAAE1EBB56jnnsAAAAASUVORK5CYII="}}]}'

echo decode:
predict decoder '{"signature_name": "decode", "instances": [{"z": [1.0, 1.0]}]}'

echo generate:
predict decoder '{"signature_name": "generate", "instances": [{"seed": 1, "temperature": 1.0}]}'

echo generate_png: generate_png.png
save generate_png.png predict decoder '{"signature_name": "generate_png", "instances": [{"seed": 1, "temperature": 1.0}]}'
