// SPDX-License-Identifier: MIT
// sotto convert: a model in another format.
#include "model/convert.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/cli/commands.h"
#include "apps/cli/common.h"
#include "base/error.h"
#include "base/stop_signal.h"
#include "model/weights.h"

namespace sotto::cli {
namespace {

class ConvertCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description(
        "Write a model in another format. Prints the path to load.");
    app.add_option("model", model_, "name, path or org/name")->required();
    app.add_option("directory", directory_, "folder to write into")->required();
    app.add_option("--to", format_, "hf, openai, ct2, ggml or gguf")
        ->required();
    app.add_option("--dtype", dtype_,
                   "f32, f16 or bf16; default: the source's");
    app.add_option("--quantize,--quantization", quantisation_,
                   "type of the matrices: int8 (ct2), q4_0 q4_1 q5_0 q5_1 q8_0 "
                   "(ggml, gguf), q4_K q5_K q6_K (gguf)");
    app.add_option("--name", name_, "name in the file name");
    app.add_option("--gguf-openai-names", openai_names_,
                   "gguf: OpenAI's tensor names");
  }

  int Run() override {
    const ModelFormat format = ParseModelFormat(format_);
    ConvertOptions options;
    if (!dtype_.empty()) options.dtype = ParseWeightType(dtype_);
    if (!quantisation_.empty())
      options.quantisation = ParseWeightType(quantisation_);
    options.name = name_;
    options.gguf_openai_names = openai_names_;
    const auto store = WeightStore::Load(FindModel(model_));
    // Parts of files are taken away again.
    const StopSignals signals("stopping");
    options.progress = [this](int64_t, int64_t) {
      if (StopAsked())
        Fail(ErrorCode::kCancelled, "{}: stopped, nothing is written",
             directory_);
    };
    std::cout << ConvertModel(*store, format, directory_, options).string()
              << '\n';
    return kDone;
  }

 private:
  std::string model_, directory_, format_, dtype_, quantisation_, name_;
  bool openai_names_ = false;
};

}  // namespace

std::unique_ptr<Command> MakeConvert() {
  return std::make_unique<ConvertCommand>();
}

}  // namespace sotto::cli
