// Notices in sentences, in the cluster's language. The two languages stand side by side, sentence by sentence
// (wording_table.cpp): the catalogue of the command line belongs to its reader, this one to whoever is written to.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/notifier/notice.h"

namespace ultramarine::notifier {

enum class Language { english, korean };
Language language_of(const std::string& word);  // en, ko

/// Both forms of every sentence, for tests: {0} {1} ... stand for the same in both.
std::vector<std::pair<std::string_view, std::string_view>> all_wordings();

/// Why the job's attempt ended so: "rank 3 on node05, exit code 1"; "" when nothing needs to be said.
std::string reason_in_words(const Notice& notice, Language language);

/// "Job 17 train failed: rank 3 on node05, exit code 1". One line without control characters.
std::string subject_in_words(const Notice& notice, Language language);

/// The same as a sentence with owner and account, for a chat.
std::string text_in_words(const Notice& notice, Language language);

/// All facts, a line each, with how to see more.
std::vector<std::string> body_in_words(const Notice& notice, Language language);

}  // namespace ultramarine::notifier
