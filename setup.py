"""Metadata of the package; the tools' settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "vae_tf/version.py").read_text("utf-8"))[1]


def long_description(text: str) -> str:
    """Returns the README as a package index can show it.

    The index has the README alone, and the project declares no address where its other files are:
    pictures of the clone are left out with their captions, and links into it become their words.
    """
    text = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n+(\*[^*]+\*\n+)?", "", text)
    return re.sub(r"\[([^]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)


setup(
    name="vae_tf",
    version=VERSION,
    description="Variational autoencoders for Keras: fit, trusted likelihoods, exports that run",
    long_description=long_description((HERE / "README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    python_requires=">=3.10,<3.14",
    # `export/` stays out: a top-level module of that name in site-packages is a trespass
    packages=find_packages(include=["vae_tf", "vae_tf.*"]),
    package_data={
        "vae_tf": [
            "py.typed",
            "exporting/serving/templates/*",
            "exporting/web/page/*.*",
            "exporting/web/page/js/*.js",
        ]
    },
    install_requires=[
        "ai-edge-litert>=2.3",
        "importlib_resources>=6",  # tensorflow-datasets imports it and does not say so
        "keras>=3.12",
        "matplotlib>=3.9.2",
        "numpy>=2.0",
        "pillow>=11",
        "rich>=13",
        "scikit-learn>=1.6",
        "tensorboard>=2.20",
        "tensorflow>=2.21,<2.22",  # the exports lean on its C API and its converter
        "tensorflow-datasets>=4.9.10",
        "tensorflow-probability[tf]>=0.25",
        "tyro>=1.0",
    ],
    extras_require={
        # Bulk jobs, `vae_tf.bulk`; Beam wants older pillow, protobuf and pyarrow than others
        "beam": ["apache-beam>=2.77,<3", "google-crc32c>=1.7", "pyarrow>=18"],
        # Lossless compression, `vae_tf.codec`
        "compress": ["constriction>=0.5", "scipy>=1.14.1"],
        "onnx": ["onnx>=1.19", "onnxruntime>=1.23", "tf2onnx>=1.17"],
        # What serving/grpc_client.py of a bundle needs; exporting and serving do without
        "serving": ["tensorflow-serving-api>=2.21,<2.22"],
        # DataFrames, CSV and Parquet files
        "tables": ["pandas>=2.2.3", "pyarrow>=18"],
    },
    entry_points={
        "console_scripts": [
            "vae-tf-train=vae_tf.cli.train:main",
            "vae-tf-export=vae_tf.cli.export:main",
            "vae-tf-codec=vae_tf.cli.codec:main",
            "vae-tf-bulk=vae_tf.cli.bulk:main",
        ]
    },
    classifiers=[
        "License :: OSI Approved :: MIT License",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
