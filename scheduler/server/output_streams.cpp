// Fan out, pass on, end.
#include "scheduler/server/output_streams.h"

#include "scheduler/protocol/api_messages.h"

namespace ultramarine::server {

namespace {

std::string line(std::int64_t rank, const std::string& stream, const std::string& data_base64, const std::string& error) {
  return protocol::to_json(protocol::LogLine{rank, stream, data_base64, error}) + "\n";
}

/// The ranks of each node: they are numbered along the allocation.
std::map<std::string, std::set<std::int64_t>> ranks_by_node(const api::OutputQuestion& question) {
  std::map<std::string, std::set<std::int64_t>> ranks;
  std::int64_t rank = 0;
  for (std::size_t node = 0; node < question.allocation.size(); ++node)
    for (std::int64_t i = 0; i < question.ranks[node]; ++i, ++rank)
      if (!question.rank || *question.rank == rank) ranks[question.allocation[node].node].insert(rank);
  return ranks;
}

}  // namespace

void OutputStreams::open(const api::OutputQuestion& question, std::shared_ptr<net::Stream> stream) {
  auto client = std::make_shared<Client>();
  client->stream = stream;
  clients_.insert(client);
  // The stream must not own its own client: the set above does.
  const std::weak_ptr<Client> weak = client;
  stream->on_closed([this, weak] {
    if (const auto gone = weak.lock()) drop(gone);
  });
  stream->on_drained([this, weak] {
    const auto ready = weak.lock();
    if (!ready || ready->is_over) return;
    ready->window_bytes = 0;
    hand_over(ready);
  });
  for (const auto& [node, ranks] : ranks_by_node(question)) {
    protocol::LogRequest request{++last_number_, question.key, {}, question.follow, question.since};
    if (question.rank) request.ranks.assign(ranks.begin(), ranks.end());
    if (const std::int64_t session = sessions_.send(node, request)) {
      client->requests.insert(request.request);
      requests_[request.request] = {client, node, session, ranks};
    } else {
      pass(client, line(*ranks.begin(), "err", "",
                        "the agent of " + node + " is not connected: the output of its ranks can't be read until it is back"));
    }
  }
  hand_over(client);
}

void OutputStreams::on_chunk(std::int64_t session, const protocol::LogChunk& chunk) {
  const auto request = requests_.find(chunk.request);
  if (request == requests_.end() || request->second.session != session) return;
  const std::shared_ptr<Client> client = request->second.client;
  if (!chunk.data_base64.empty() || !chunk.error.empty()) pass(client, line(chunk.rank, chunk.stream, chunk.data_base64, chunk.error));
  if (client->is_over || !chunk.at_end) return;
  request->second.ranks.erase(chunk.rank);
  // A negative rank speaks for all ranks of the node.
  if (chunk.rank < 0 || request->second.ranks.empty()) finish_request(chunk.request);
}

void OutputStreams::on_session_gone(std::int64_t session) {
  std::vector<std::int64_t> over;
  for (const auto& [number, request] : requests_)
    if (request.session == session) over.push_back(number);
  for (const std::int64_t number : over) {
    const auto found = requests_.find(number);
    if (found == requests_.end()) continue;  // its client went with an earlier one
    const Request request = found->second;
    pass(request.client, line(*request.ranks.begin(), "err", "",
                              "the connection to the agent of " + request.node + " was lost: ask again when it is back"));
    finish_request(number);
  }
}

void OutputStreams::pass(const std::shared_ptr<Client>& client, std::string piece) {
  if (client->is_over) return;
  client->held_bytes += piece.size();
  client->held.push_back(std::move(piece));
  if (client->held_bytes > held_bytes_max_) {
    cancel_requests(*client);
    client->held.resize(1);
    client->held_bytes = client->held.front().size();
    pass(client, line(0, "err", "", "the output was cut here: it came faster than it was read; read it with --rank, or without --follow"));
    return;
  }
  hand_over(client);
}

/// As much as the window takes; the end, when nothing is left and nothing more will come.
void OutputStreams::hand_over(const std::shared_ptr<Client>& client) {
  while (!client->held.empty() &&
         (client->window_bytes == 0 || client->window_bytes + client->held.front().size() <= output_window_bytes)) {
    std::string piece = std::move(client->held.front());
    client->held.pop_front();
    client->held_bytes -= piece.size();
    client->window_bytes += piece.size();
    if (!client->stream->write(std::move(piece))) {
      drop(client);
      return;
    }
  }
  if (!client->held.empty() || !client->requests.empty() || client->is_over) return;
  client->is_over = true;
  client->stream->end();
  clients_.erase(client);
}

void OutputStreams::finish_request(std::int64_t number) {
  const auto request = requests_.find(number);
  if (request == requests_.end()) return;
  const std::shared_ptr<Client> client = request->second.client;
  requests_.erase(request);
  client->requests.erase(number);
  hand_over(client);
}

void OutputStreams::cancel_requests(Client& client) {
  for (const std::int64_t number : client.requests) {
    const auto request = requests_.find(number);
    if (request == requests_.end()) continue;
    sessions_.send(request->second.node, protocol::LogCancel{number});
    requests_.erase(request);
  }
  client.requests.clear();
}

void OutputStreams::drop(const std::shared_ptr<Client>& client) {
  if (client->is_over) return;
  client->is_over = true;
  client->held.clear();
  cancel_requests(*client);
  clients_.erase(client);
}

}  // namespace ultramarine::server
