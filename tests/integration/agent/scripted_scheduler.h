// A scheduler that says what the test tells it to, over a real socket with the real proof; and an agent whose shims are in memory.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "scheduler/net/http.h"
#include "scheduler/net/proof.h"
#include "scheduler/protocol/codec.h"
#include "worker/agent/agent.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/memory_launcher.h"

namespace ultramarine::agent {

class ScriptedScheduler {
 public:
  explicit ScriptedScheduler(net::Loop& loop, net::Endpoint endpoint = {.host = "127.0.0.1"}, std::string secret = "s3cret")
      : loop_(loop), secret_(std::move(secret)) {
    net::ServerOptions options;
    options.websockets[agents_path] = [this](const net::Request&, std::shared_ptr<net::Connection> connection) {
      ++connections;
      net::prove_as_server(loop_, connection, secret_, agents_proof_context, [this, connection](bool proved) {
        if (!proved) {
          ++refused;
          return;
        }
        agent_ = connection;
        connection->on_message([this](std::string_view text) { receive(text); });
      });
    };
    server_ = net::listen(
        loop, endpoint, [](const net::Request&, const std::shared_ptr<net::Reply>& reply) { reply->send({.status = 404}); }, std::move(options));
  }

  net::Endpoint endpoint() const { return server_->endpoint(); }
  void send(const protocol::ToAgent& message) { agent_->send(protocol::to_json(message)); }
  void send_text(std::string text) { agent_->send(std::move(text)); }
  void hang_up() { agent_->close(); }

  template <class T>
  std::vector<T> received() const {
    std::vector<T> found;
    for (const auto& message : messages)
      if (const T* alternative = std::get_if<T>(&message)) found.push_back(*alternative);
    return found;
  }
  /// The newest report of each phase is what tests ask for.
  bool reported(const GangKey& key, GangPhase phase) const {
    for (const auto& report : received<GangReport>())
      if (report.key == key && report.phase == phase) return true;
    return false;
  }

  bool welcomes = true;  // answer Hello at once
  protocol::Welcome welcome{.heartbeat_ms = 100};
  int connections = 0, refused = 0;
  std::vector<protocol::FromAgent> messages;

 private:
  void receive(std::string_view text) {
    messages.push_back(protocol::from_json<protocol::FromAgent>(text));
    if (welcomes && std::holds_alternative<protocol::Hello>(messages.back())) send(welcome);
  }

  net::Loop& loop_;
  std::string secret_;
  std::shared_ptr<net::Connection> agent_;
  std::unique_ptr<net::Server> server_;
};

/// The memory launcher with real folders, as the agent looks into them.
class FolderLauncher final : public launcher::Launcher {
 public:
  FolderLauncher(net::Loop& loop, std::string jobs_folder, std::shared_ptr<launcher::MemoryShims> shims, launcher::OnShimMessage on_message)
      : jobs_folder_(std::move(jobs_folder)), inner_(launcher::make_memory_launcher(loop, std::move(shims), std::move(on_message))) {}
  void prepare(const protocol::LaunchSpec& launch) override {
    std::filesystem::create_directories(folder(launch.key));
    std::ofstream(launcher::JobFolder{folder(launch.key)}.launch()) << "{}";
    inner_->prepare(launch);
  }
  void send(const GangKey& key, const protocol::ToShim& message) override { inner_->send(key, message); }
  void adopt() override { inner_->adopt(); }
  void forget(const GangKey& key) override { inner_->forget(key); }
  void attempt_over(JobId job, std::int64_t attempt) override { inner_->attempt_over(job, attempt); }
  std::vector<protocol::AttemptKey> begun() const override { return {{JobId{4}, 2}}; }
  std::string folder(const GangKey& key) const override { return jobs_folder_ + "/" + launcher::text_of(key); }

 private:
  std::string jobs_folder_;
  std::unique_ptr<launcher::Launcher> inner_;
};

inline GangKey key_of(std::int64_t job, std::int64_t attempt = 1) { return {JobId{job}, attempt, 1}; }

inline protocol::Prepare prepare_of(const GangKey& key) {
  protocol::Prepare prepare;
  prepare.launch.key = key;
  prepare.launch.node = "node01";
  prepare.launch.spec.account = "vision";
  prepare.launch.owner = {.uid = static_cast<std::int64_t>(geteuid()), .name = "me"};
  prepare.launch.allocation = {{"node01", {0, 1}}};
  return prepare;
}

}  // namespace ultramarine::agent
