// ultra man: writes the manual pages of this program and of those beside it.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "scheduler/cli/child_program.h"
#include "scheduler/cli/language.h"
#include "scheduler/cli/local_cluster.h"
#include "scheduler/cli/manual.h"
#include "scheduler/cli/words.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::cli {
namespace {

struct Program {
  const char* name;
  int section;
};
constexpr Program programs[] = {{"ultra-scheduler", 8}, {"ultra-agent", 8}, {"ultra-train", 1}, {"ultra-perf", 1}, {"ultra-simulate", 1}};

/// What the program beside this one says with --help; "" when it isn't there.
std::string help_of(const std::string& program) {
  std::error_code error;
  const std::string path = programs_folder() + "/" + program;
  if (!std::filesystem::exists(path, error)) return "";
  const auto end = run_program({path, "--help"}, "");
  return end && end->code == 0 && end->signal == 0 ? end->out : "";
}

int man(const Arguments& arguments, Context& context) {
  const std::filesystem::path folder = arguments.positionals.front();
  const std::string epoch =
      context.variable("SOURCE_DATE_EPOCH");  // for builds that shall come out the same on every day
  const std::string date =
      local_time(epoch.empty() ? context.now() : Time{std::atoll(epoch.c_str()) * 1000}).substr(0, 10);
  std::vector<ManualPage> pages = manual_of_verbs(all_verbs(), date);
  for (const Program& program : programs) {
    const std::string help = help_of(program.name);
    if (!help.empty()) pages.push_back(manual_of_program(program.name, program.section, help, date));
  }
  std::vector<std::string> written;
  for (const ManualPage& page : pages) {
    const std::filesystem::path path = folder / page.file;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    std::ofstream file(path, std::ios::trunc);
    file << page.text;
    file.close();
    if (!file)
      throw CommandError(
          exit_code::failure,
          error_line("FOLDER", spoken("can't write {0}", path.string()) + ": " + heard(std::strerror(errno)),
                     spoken("give a folder that you may write")));
    written.push_back(path.string());
  }
  if (arguments.has("--json")) {
    context.out << protocol::json::serialize(protocol::encode(written)) << '\n';
  } else if (!arguments.has("--quiet")) {
    for (const std::string& path : written) context.out << path << '\n';
  }
  return exit_code::ok;
}

}  // namespace

Verb man_verb() {
  return {.path = "man",
          .summary = "write the manual pages of all programs into a folder",
          .positionals = Positionals::folder,
          .options = {{"--quiet", "", "Print nothing", "-q"}, json_option("the list of files")},
          .details =
              "They are made from what the programs know of their own options, in the language of LANG.\n"
              "Examples:\n  ultra man ~/.local/share/man && man ultra-submit\n  LANG=ko_KR.UTF-8 ultra man "
              "~/.local/share/man/ko",
          .run = man};
}

}  // namespace ultramarine::cli
