// Runs a signature of a SavedModel by the loader that TF Serving uses; needs no Python.
//
//   predict DIRECTORY                              lists the signatures
//   predict DIRECTORY SIGNATURE NAME=VALUE...      prints the outputs as JSON
//   predict DIRECTORY SIGNATURE NAME=VALUE... --bench N     and the latency of N more runs
//
// VALUE: numbers with commas between, row after row, or @FILE with numbers in it. For a string
// input @FILE is the row itself, say a PNG, and each NAME=@FILE adds one. The number of rows
// follows from the signature's shape: z=0.3,-1.2,0,0 are two rows for a z of two.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/public/session.h"

namespace tf = tensorflow;
using Named = std::vector<std::pair<std::string, tf::Tensor>>;

void Check(const absl::Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(status.message()));
}

std::string Contents(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// The tensor [rows, ...] of an input from all VALUEs given for it.
tf::Tensor Parse(const std::string& name, const tf::TensorInfo& info,
                 const std::vector<std::string>& values) {
  if (info.dtype() == tf::DT_STRING) {
    tf::Tensor tensor(tf::DT_STRING, tf::TensorShape({static_cast<int64_t>(values.size())}));
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].empty() || values[i][0] != '@') throw std::runtime_error(name + " takes @FILE");
      tensor.vec<tf::tstring>()(i) = Contents(values[i].substr(1));
    }
    return tensor;
  }
  if (values.size() != 1) throw std::runtime_error(name + " must be given once");
  std::string text = values[0][0] == '@' ? Contents(values[0].substr(1)) : values[0];
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream stream(text);
  std::vector<double> numbers;  // holds every int32 and every float
  for (std::string word; stream >> word;) {
    size_t read = 0;
    try {
      numbers.push_back(std::stod(word, &read));
    } catch (const std::logic_error&) {
    }
    if (read != word.size()) throw std::runtime_error(name + " has no number in " + word);
  }
  tf::TensorShape shape({0});
  for (int i = 1; i < info.tensor_shape().dim_size(); ++i) {
    shape.AddDim(info.tensor_shape().dim(i).size());
  }
  int64_t row = 1;
  for (int i = 1; i < shape.dims(); ++i) row *= shape.dim_size(i);
  if (numbers.size() % row != 0) {
    throw std::runtime_error(name + " takes rows of " + std::to_string(row) + " numbers, not " +
                             std::to_string(numbers.size()));
  }
  shape.set_dim(0, numbers.size() / row);
  tf::Tensor tensor(info.dtype(), shape);
  auto fill = [&](auto flat) {
    using T = typename decltype(flat)::Scalar;
    for (size_t i = 0; i < numbers.size(); ++i) {
      flat(i) = static_cast<T>(numbers[i]);
      if (std::is_integral<T>::value && static_cast<double>(flat(i)) != numbers[i]) {
        throw std::runtime_error(name + " must be " + tf::DataTypeString(info.dtype()));
      }
    }
  };
  switch (info.dtype()) {
    case tf::DT_FLOAT: fill(tensor.flat<float>()); break;
    case tf::DT_INT32: fill(tensor.flat<int32_t>()); break;
    case tf::DT_UINT8: fill(tensor.flat<uint8_t>()); break;
    case tf::DT_BOOL: fill(tensor.flat<bool>()); break;
    default: throw std::runtime_error(name + " has a type this program does not read");
  }
  return tensor;
}

// Numbers flat in C order with the shape beside them; strings in base64.
void PrintJson(const std::string& name, const tf::Tensor& tensor) {
  std::printf("\"%s\": {\"dtype\": \"%s\", \"shape\": [", name.c_str(),
              tf::DataTypeString(tensor.dtype()).c_str());
  for (int i = 0; i < tensor.dims(); ++i) {
    std::printf("%s%lld", i ? ", " : "", static_cast<long long>(tensor.dim_size(i)));
  }
  std::printf("], \"values\": [");
  for (int64_t i = 0; i < tensor.NumElements(); ++i) {
    if (i) std::printf(", ");
    switch (tensor.dtype()) {
      case tf::DT_FLOAT: {
        const float value = tensor.flat<float>()(i);
        if (std::isfinite(value)) {
          std::printf("%.9g", value);  // read back, the same float
        } else {
          std::printf(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
        }
        break;
      }
      case tf::DT_INT32: std::printf("%d", tensor.flat<int32_t>()(i)); break;
      case tf::DT_STRING:
        std::printf("\"%s\"", absl::Base64Escape(tensor.flat<tf::tstring>()(i)).c_str());
        break;
      default: throw std::runtime_error(name + " has a type this program does not print");
    }
  }
  std::printf("]}");
}

void List(const tf::SavedModelBundle& bundle) {
  auto print = [](const char* title, const auto& ends) {
    for (const auto& [name, info] : std::map<std::string, tf::TensorInfo>(ends.begin(), ends.end())) {
      std::cout << "  " << title << " " << name << " " << tf::DataTypeString(info.dtype()) << " "
                << tf::PartialTensorShape(info.tensor_shape()).DebugString() << "\n";
    }
  };
  const auto& signatures = bundle.GetSignatures();
  for (const auto& [name, signature] :
       std::map<std::string, tf::SignatureDef>(signatures.begin(), signatures.end())) {
    if (name.rfind("__", 0) == 0) continue;  // __saved_model_init_op
    std::cout << name << "\n";
    print("input", signature.inputs());
    print("output", signature.outputs());
  }
}

void Bench(tf::Session* session, const Named& inputs, const std::vector<std::string>& ends, int n) {
  std::vector<double> microseconds(n);
  std::vector<tf::Tensor> outputs;
  for (double& elapsed : microseconds) {
    const auto began = std::chrono::steady_clock::now();
    Check(session->Run(inputs, ends, {}, &outputs));
    elapsed = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began)
                  .count();
  }
  std::sort(microseconds.begin(), microseconds.end());
  std::printf("{\"runs\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", n, microseconds[n / 2],
              microseconds[n * 99 / 100]);
}

void Run(const tf::SavedModelBundle& bundle, const std::string& name,
         std::map<std::string, std::vector<std::string>> given, int bench) {
  const auto found = bundle.GetSignatures().find(name);
  if (found == bundle.GetSignatures().end()) throw std::runtime_error("no signature " + name);
  const tf::SignatureDef& signature = found->second;
  Named inputs;
  for (const auto& [input, info] : signature.inputs()) {
    if (!given.count(input)) throw std::runtime_error("give " + input + "=");
    inputs.emplace_back(info.name(), Parse(input, info, given[input]));
    given.erase(input);
  }
  if (!given.empty()) throw std::runtime_error("no input " + given.begin()->first);
  std::vector<std::string> names, ends;
  for (const auto& [output, info] : signature.outputs()) {
    names.push_back(output);
    ends.push_back(info.name());
  }
  std::vector<tf::Tensor> outputs;
  Check(bundle.session->Run(inputs, ends, {}, &outputs));
  std::printf("{");
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (i) std::printf(", ");
    PrintJson(names[i], outputs[i]);
  }
  std::printf("}\n");
  if (bench > 0) Bench(bundle.session.get(), inputs, ends, bench);
}

int main(int count, char** arguments) {
  try {
    const std::vector<std::string> words(arguments + 1, arguments + count);
    if (words.empty()) throw std::runtime_error("DIRECTORY [SIGNATURE NAME=VALUE... [--bench N]]");
    std::map<std::string, std::vector<std::string>> given;
    int bench = 0;
    for (size_t i = 2; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      if (words[i] == "--bench" && i + 1 < words.size()) {
        bench = std::stoi(words[++i]);
      } else if (equals == std::string::npos || equals + 1 == words[i].size()) {
        throw std::runtime_error("NAME=VALUE expected, not " + words[i]);
      } else {
        given[words[i].substr(0, equals)].push_back(words[i].substr(equals + 1));
      }
    }
    tf::SavedModelBundle bundle;
    Check(tf::LoadSavedModel(tf::SessionOptions(), tf::RunOptions(), words[0],
                             {"serve"}, &bundle));
    if (words.size() == 1) {
      List(bundle);
    } else {
      Run(bundle, words[1], given, bench);
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "predict: " << error.what() << "\n";
    return 1;
  }
}
