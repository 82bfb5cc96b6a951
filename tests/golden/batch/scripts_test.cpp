// Small job scripts and what each asks for, as JSON beside it: the job that would be submitted and the lines that its owner would read.
// A change of a file is a change of what existing scripts mean. Written anew by ULTRAMARINE_REGENERATE=1.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "scheduler/batch/request.h"
#include "scheduler/protocol/codec.h"

namespace ultramarine::batch {
namespace {

struct Golden {
  JobSpec spec;
  std::vector<std::int64_t> array_indices;
  std::int64_t array_limit = 0;
  std::vector<std::string> warnings;
  std::string error;
};
BOOST_DESCRIBE_STRUCT(Golden, (), (spec, array_indices, array_limit, warnings, error))

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

std::string asked_by(const std::filesystem::path& script) {
  const std::string name = script.filename().string();
  Submission submission;
  submission.name = name;
  submission.text = read(script);
  submission.command = {name, "argument"};
  submission.folder = "/home/ada";
  Golden golden;
  try {
    Request request = request_of(submission);
    golden = {request.spec, request.array_indices, request.array_limit, request.warnings, ""};
    EXPECT_EQ(golden.spec.script->text, submission.text);
    golden.spec.script->text = "";
  } catch (const Problem& problem) {
    golden.error = problem.what();
  }
  return protocol::to_json(golden) + "\n";
}

TEST(GoldenScripts, AskForWhatTheyAskedForBefore) {
  std::size_t scripts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ULTRAMARINE_SOURCE_DIR "/tests/golden/batch")) {
    if (entry.path().extension() != ".sh") continue;
    ++scripts;
    std::filesystem::path golden = entry.path();
    golden.replace_extension(".json");
    const std::string asked = asked_by(entry.path());
    if (std::getenv("ULTRAMARINE_REGENERATE")) std::ofstream(golden) << asked;
    EXPECT_EQ(asked, read(golden)) << golden << "; ULTRAMARINE_REGENERATE=1 writes it";
  }
  EXPECT_GE(scripts, 30U);
}

TEST(ExampleScripts, AreUnderstoodWithoutAWarning) {
  std::size_t scripts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ULTRAMARINE_SOURCE_DIR "/configs/examples")) {
    if (entry.path().extension() != ".sh") continue;
    ++scripts;
    const std::string asked = asked_by(entry.path());
    EXPECT_NE(asked.find("\"warnings\":[],\"error\":\"\""), std::string::npos) << asked;
  }
  EXPECT_GE(scripts, 3U);
}

}  // namespace
}  // namespace ultramarine::batch
