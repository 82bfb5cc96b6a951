// Manual pages (man(7)) from the option table: one for ultra, one for each verb; and of the programs beside it, from
// what they say of themselves with --help. In the language that is spoken.
#pragma once

#include <string>
#include <vector>

#include "scheduler/cli/verb.h"

namespace ultramarine::cli {

struct ManualPage {
  std::string file;  // "man1/ultra-submit.1"
  std::string text;
};

std::string version_text();
/// `date`: 2026-11-22, in the pages' heads.
std::vector<ManualPage> manual_of_verbs(const std::vector<Verb>& verbs, const std::string& date);
/// A daemon or another program: `help` is its own --help. Names of the options come from there.
ManualPage manual_of_program(const std::string& name, int section, const std::string& help, const std::string& date);

}  // namespace ultramarine::cli
