#include "scheduler/cli/verbs/favour.h"

#include "scheduler/cli/language.h"
#include "scheduler/cli/words.h"

namespace ultramarine::cli {
namespace {

void print_bill(const protocol::FavourReply& reply, Context& context) {
  for (const std::string& sentence : reply.sentences) context.out << printable(heard(sentence)) << '\n';
}

int granted(const Answer<protocol::FavourReply>& answer, const Arguments& arguments, Context& context) {
  if (arguments.has("--json")) context.out << answer.body << '\n';
  else context.out << spoken("Granted, as bill {0}.", answer.value.bill.bill) << '\n';
  return exit_code::ok;
}

}  // namespace

std::vector<Option> favour_options() {
  return {{"--reason", "TEXT", "Why, for those who wait longer for it (mandatory)"},
          {"--confirm", "TOKEN", "Grant it: the token of the bill that you have seen"},
          {"--yes", "", "Grant it, whatever the bill says"},
          json_option("the API's bill")};
}

bool wants_bill(const Refused& refused) { return refused.reply.code == "conflict" && refused.reply.field == "token"; }

std::string shell_quoted(const std::string& text) {
  std::string shell = "'";
  for (const char letter : text) shell += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return shell + "'";
}

std::string reason_of(const Arguments& arguments, const std::string& example) {
  if (const auto reason = arguments.text("--reason")) return *reason;
  usage_error("--reason", spoken("none given"), spoken("say why: {0}", "--reason '" + example + "'"));
}

int ask_favour(protocol::FavourRequest request, const std::string& command, const Arguments& arguments, Context& context) {
  Client client(context.socket);
  if (const auto token = arguments.text("--confirm")) {
    request.token = *token;
    return granted(client.favour(request), arguments, context);
  }
  const auto answer = client.favour(request);
  if (arguments.has("--yes") || answer.value.bill.delayed.empty()) {
    if (!arguments.has("--json")) print_bill(answer.value, context);
    request.token = answer.value.token;
    return granted(client.favour(request), arguments, context);
  }
  if (arguments.has("--json")) {
    context.out << answer.body << '\n';
    return exit_code::ok;
  }
  print_bill(answer.value, context);
  context.out << spoken("Nothing is changed so far. To grant it within {0}:", "10m") << "\n  " << command << " --confirm " << answer.value.token << '\n';
  return exit_code::ok;
}

}  // namespace ultramarine::cli
