// SPDX-License-Identifier: MIT
// sotto completion: the shells' completions and the man page, made from the
// same descriptions as --help.
#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <vector>

#include "apps/cli/commands.h"
#include "base/error.h"
#include "engine/version.h"

namespace sotto::cli {
namespace {

struct Flag {
  std::string name;  // "--model"
  std::string help;
  std::string default_value;
};

struct Page {
  std::string name;
  std::string summary;
  std::string description;
  std::vector<Flag> flags;
};

std::vector<Page> Pages() {
  std::vector<Page> pages;
  for (const CommandRow& row : Commands()) {
    const std::unique_ptr<Command> command = row.make();
    CLI::App app;
    app.set_help_flag("-h,--help", "print help");
    command->Describe(app);
    Page page{std::string(row.name), std::string(row.summary),
              app.get_description(), {}};
    for (const CLI::Option* option : app.get_options())
      for (const std::string& name : option->get_lnames())
        page.flags.push_back({"--" + name, option->get_description(),
                              option->get_default_str()});
    pages.push_back(std::move(page));
  }
  return pages;
}

std::string Replace(std::string text, std::string_view from,
                    std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

std::string Roff(const std::string& text) {
  std::string out = Replace(Replace(text, "\\", "\\e"), "-", "\\-");
  if (!out.empty() && (out[0] == '.' || out[0] == '\'')) out = "\\&" + out;
  return out;
}

void PrintMan(std::ostream& out) {
  out << ".TH SOTTO 1 \"\" \"sotto " << Version() << "\"\n"
      << ".SH NAME\nsotto \\- speech to text with Whisper models\n"
      << ".SH SYNOPSIS\n.B sotto\n[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR] "
         "\\fIFILE\\fR...\n"
      << ".SH DESCRIPTION\nWithout a command: transcribe. Text goes to "
         "standard output, everything else to standard error. Options are "
         "OpenAI's names; \\- and _ are alike.\n";
  for (const Page& page : Pages()) {
    out << ".SH SOTTO " << Roff(Replace(page.name, "\n", " ")) << "\n"
        << Roff(page.description) << "\n";
    for (const Flag& flag : page.flags) {
      out << ".TP\n.B " << Roff(flag.name) << "\n" << Roff(flag.help);
      if (!flag.default_value.empty())
        out << " (default: " << Roff(flag.default_value) << ")";
      out << "\n";
    }
  }
  out << ".SH EXIT STATUS\n0 all done, 1 a file failed, 2 usage, 130 "
         "stopped by Ctrl-C (143 by SIGTERM, 129 by SIGHUP).\n"
      << ".SH ENVIRONMENT\n"
      << ".TP\n.B SOTTO_LOG\ndebug, info, warning or error; dispatch tells "
         "which kernels were chosen and why.\n"
      << ".TP\n.B SOTTO_CPU\namx, avx512, avx2 or ref: use no more than that.\n"
      << ".TP\n.B SOTTO_MODELS\nwhere models lie (default "
         "~/.cache/sotto/models).\n"
      << ".TP\n.B HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HOME, "
         "HF_HUB_CACHE\nas the Hugging Face tools honour them.\n";
}

void PrintBash(std::ostream& out) {
  std::string commands;
  for (const CommandRow& row : Commands())
    commands += std::string(row.name) + " ";
  out << "_sotto() {\n  local word=${COMP_WORDS[COMP_CWORD]} flags\n"
      << "  case ${COMP_WORDS[1]} in\n";
  for (const Page& page : Pages()) {
    out << "    " << page.name << ") flags='";
    for (const Flag& flag : page.flags) out << flag.name << ' ';
    out << "' ;;\n";
  }
  out << "    *) flags='--help --version' ;;\n  esac\n"
      << "  if [ \"$COMP_CWORD\" = 1 ]; then flags=\"$flags " << commands
      << "\"; fi\n"
      << "  COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n"
      << "  case $word in -*) ;; *) COMPREPLY+=($(compgen -f -- \"$word\")) ;; "
         "esac\n"
      << "}\ncomplete -o filenames -F _sotto sotto\n";
}

void PrintZsh(std::ostream& out) {
  out << "#compdef sotto\n_sotto() {\n  local -a commands\n  commands=(\n";
  for (const Page& page : Pages())
    out << "    '" << page.name << ':' << Replace(page.summary, "'", "'\\''")
        << "'\n";
  out << "  )\n  if (( CURRENT == 2 )); then _describe command commands; "
         "_files; return; fi\n  case $words[2] in\n";
  for (const Page& page : Pages()) {
    out << "    " << page.name << ") _arguments '*:file:_files'";
    for (const Flag& flag : page.flags) {
      std::string help = Replace(flag.help, "'", "'\\''");
      for (const char* sign : {"[", "]", ":"})
        help = Replace(help, sign, std::string("\\") + sign);
      out << " \\\n      '" << flag.name << '[' << help << "]'";
    }
    out << " ;;\n";
  }
  out << "    *) _files ;;\n  esac\n}\n_sotto \"$@\"\n";
}

void PrintFish(std::ostream& out) {
  for (const Page& page : Pages()) {
    out << "complete -c sotto -n __fish_use_subcommand -a " << page.name
        << " -d '" << Replace(page.summary, "'", "\\'") << "'\n";
    for (const Flag& flag : page.flags)
      out << "complete -c sotto -n '__fish_seen_subcommand_from " << page.name
          << "' -l " << flag.name.substr(2) << " -d '"
          << Replace(flag.help, "'", "\\'") << "'\n";
  }
}

class CompletionCommand : public Command {
 public:
  void Describe(CLI::App& app) override {
    app.description("Print shell completion (bash, zsh, fish) or the man page "
                    "(man).");
    app.add_option("kind", kind_, "bash, zsh, fish or man")->required();
  }
  int Run() override {
    if (kind_ == "bash") {
      PrintBash(std::cout);
    } else if (kind_ == "zsh") {
      PrintZsh(std::cout);
    } else if (kind_ == "fish") {
      PrintFish(std::cout);
    } else if (kind_ == "man") {
      PrintMan(std::cout);
    } else {
      Fail(ErrorCode::kBadInput,
           "completion for '{}' is not there, want bash, zsh, fish or man",
           kind_);
    }
    return kDone;
  }

 private:
  std::string kind_;
};

}  // namespace

std::unique_ptr<Command> MakeCompletion() {
  return std::make_unique<CompletionCommand>();
}

}  // namespace sotto::cli
