#include "scheduler/cli/manual.h"

#include <algorithm>
#include <sstream>

#include "scheduler/cli/language.h"

namespace ultramarine::cli {
namespace {

std::vector<std::string> lines_of_text(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

/// Text that roff takes as it is: backslashes, hyphens that are minus signs, and lines that would begin with a control
/// character.
std::string plain(const std::string& text) {
  std::string result;
  for (const char byte : text) {
    if (byte == '\\')
      result += "\\e";
    else if (byte == '-')
      result += "\\-";
    else if (byte == '\'')
      result += "\\(aq";
    else if (byte == '`')
      result += "\\(ga";
    else if (byte == '^')
      result += "\\(ha";
    else if (byte == '~')
      result += "\\(ti";
    else
      result += byte;
  }
  return result.starts_with('.') ? "\\&" + result : result;
}

std::string bold(const std::string& text) { return "\\fB" + plain(text) + "\\fR"; }
std::string italic(const std::string& text) { return "\\fI" + plain(text) + "\\fR"; }

class Page {
 public:
  Page(const std::string& name, int section, const std::string& date) {
    std::string title = name;
    for (char& letter : title)
      letter = letter == ' ' ? '-' : static_cast<char>(letter >= 'a' && letter <= 'z' ? letter - 'a' + 'A' : letter);
    line(".TH " + plain(title) + " " + std::to_string(section) + " \"" + date + "\" \"Ultramarine " + version_text() +
         "\" \"Ultramarine\"");
  }
  void line(const std::string& text) { text_ += text + "\n"; }
  void section(const std::string& title) { line(".SH " + plain(title)); }
  void paragraph(const std::string& text) {
    line(".PP");
    line(plain(text));
  }
  void item(const std::string& head, const std::string& body) {
    line(".TP");
    line(head);
    line(plain(body));
  }
  void see_also(const std::vector<std::string>& pages) {
    section(spoken("SEE ALSO"));
    std::string list;
    for (const std::string& page : pages) {
      const std::size_t open = page.find('(');
      list +=
          (list.empty() ? "" : ",\n") + std::string("\\fB") + plain(page.substr(0, open)) + "\\fR" + page.substr(open);
    }
    line(list);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string dashed(const std::string& path) {
  std::string name = "ultra-" + path;
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

void name_section(Page& page, const std::string& name, const std::string& summary) {
  page.section(spoken("NAME"));
  page.line(plain(name) + " \\- " + plain(summary));
}

/// Examples (lines that begin with two blanks) as they are, the rest as paragraphs.
void describe(Page& page, const std::string& details) {
  bool in_example = false;
  for (const std::string& given : lines_of_text(details)) {
    const bool is_example = given.starts_with("  ");
    if (is_example && !in_example) {
      page.line(".PP");
      page.line(".nf");
      page.line(".RS");
    }
    if (!is_example && in_example) {
      page.line(".RE");
      page.line(".fi");
    }
    if (is_example)
      page.line(plain(given.substr(2)));
    else
      page.paragraph(spoken(given));
    in_example = is_example;
  }
  if (in_example) {
    page.line(".RE");
    page.line(".fi");
  }
}

void options_section(Page& page, const std::string& title, const std::vector<Option>& options) {
  if (options.empty()) return;
  page.section(title);
  for (const Option& option : options) {
    std::string head = option.letter.empty() ? "" : bold(option.letter) + ", ";
    head += bold(option.name);
    if (!option.value_name.empty()) head += " " + italic(option.value_name);
    page.item(head, spoken(option.help));
  }
}

void common_sections(Page& page) {
  page.section(spoken("EXIT STATUS"));
  const std::pair<const char*, std::string> codes[] = {
      {"0", spoken("It worked.")},
      {"1", spoken("It failed.")},
      {"2", spoken("What was typed is wrong, or this cluster can never run it.")},
      {"3", spoken("There is no such job, node or cluster.")},
      {"4", spoken("It is not permitted.")},
      {"5", spoken("No scheduler answers.")},
      {"6", spoken("The state of things doesn't allow it.")},
      {"7", spoken("The time of --timeout is over.")},
      {"125", spoken("The system failed the job, where its own exit code would be given.")},
      {"130", spoken("Interrupted by Ctrl-C.")}};
  for (const auto& [code, meaning] : codes) page.item(bold(code), meaning);
  page.section(spoken("ENVIRONMENT"));
  page.item(bold("ULTRA_HOME"), spoken("Folder of a cluster on this machine (default ~/.ultramarine)."));
  page.item(bold("ULTRA_SOCKET"), spoken("The scheduler's socket (default: scheduler.sock in ULTRA_HOME)."));
  page.item(bold("NO_COLOR") + ", " + bold("CLICOLOR_FORCE"),
            spoken("Colours off, or on also where there is no terminal."));
  page.item(bold("LC_ALL") + ", " + bold("LC_MESSAGES") + ", " + bold("LANG") + ", " + bold("LANGUAGE"),
            spoken("The language of messages: English, or Korean (ko). JSON is the same in each."));
}

ManualPage page_of(const Verb& verb, const std::string& date) {
  const std::string name = dashed(verb.path);
  Page page(name, 1, date);
  name_section(page, name, spoken(verb.summary));
  page.section(spoken("SYNOPSIS"));
  page.line(bold("ultra " + verb.path) + " " + plain("[OPTIONS]" + positional_words(verb.positionals)));
  page.section(spoken("DESCRIPTION"));
  page.line(plain(spoken(verb.summary)));
  describe(page, verb.details);
  options_section(page, spoken("OPTIONS"), verb.options);
  options_section(page, spoken("OPTIONS OF EVERY VERB"), global_options());
  common_sections(page);
  page.see_also({"ultra(1)"});
  return {"man1/" + name + ".1", page.text()};
}

}  // namespace

std::vector<ManualPage> manual_of_verbs(const std::vector<Verb>& verbs, const std::string& date) {
  Page page("ultra", 1, date);
  name_section(page, "ultra", spoken("submit and watch jobs on a GPU cluster"));
  page.section(spoken("SYNOPSIS"));
  page.line(bold("ultra") + " " + plain("VERB [OPTIONS]"));
  page.section(spoken("DESCRIPTION"));
  page.line(plain(spoken("The front door of Ultramarine, the launcher and scheduler of a GPU cluster.")));
  page.paragraph(
      spoken("Data goes to stdout, everything else to stderr. On a pipe, tables are separated by tabs; most verbs have "
             "--json."));
  page.section(spoken("VERBS"));
  std::vector<std::string> pages;
  for (const Verb& verb : verbs) {
    page.item(bold("ultra " + verb.path), spoken(verb.summary));
    pages.push_back(dashed(verb.path) + "(1)");
  }
  options_section(page, spoken("OPTIONS OF EVERY VERB"), global_options());
  common_sections(page);
  pages.insert(pages.end(), {"ultra-scheduler(8)", "ultra-agent(8)"});
  page.see_also(pages);
  std::vector<ManualPage> all{{"man1/ultra.1", page.text()}};
  for (const Verb& verb : verbs) all.push_back(page_of(verb, date));
  return all;
}

ManualPage manual_of_program(const std::string& name, int section, const std::string& help, const std::string& date) {
  Page page(name, section, date);
  const std::vector<std::string> lines = lines_of_text(help);
  const auto summary = std::find_if(lines.begin(), lines.end(), [](const std::string& one) { return !one.empty(); });
  name_section(page, name, summary == lines.end() ? name : *summary);
  page.section(spoken("SYNOPSIS"));
  page.line(bold(name) + " " + plain("[OPTIONS]"));
  page.section(spoken("DESCRIPTION"));
  page.line(plain(summary == lines.end() ? name : *summary));
  page.section(spoken("OPTIONS"));
  bool any = false;
  for (const std::string& one : lines) {
    const std::size_t from = one.find_first_not_of(' ');
    const bool is_option = from != std::string::npos && from > 0 && from <= 4 && one[from] == '-';
    if (is_option) {
      const std::size_t gap = one.find("  ", from);
      page.line(".TP");
      page.line(bold(one.substr(from, gap == std::string::npos ? gap : gap - from)));
      const std::size_t body = gap == std::string::npos ? gap : one.find_first_not_of(' ', gap);
      if (body != std::string::npos) page.line(plain(one.substr(body)));
      any = true;
    } else if (any && from != std::string::npos && from > 8) {
      page.line(plain(one.substr(from)));  // the help of an option goes on
    } else if (from == 0 && !one.starts_with("Usage") && one.ends_with(':') && any) {
      page.line(".SS " + plain(one.substr(0, one.size() - 1)));
    }
  }
  page.see_also({"ultra(1)"});
  return {"man" + std::to_string(section) + "/" + name + "." + std::to_string(section), page.text()};
}

}  // namespace ultramarine::cli
