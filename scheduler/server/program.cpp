// Start, run, end.
#include "scheduler/server/program.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/mp11.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "scheduler/protocol/codec.h"
#include "scheduler/protocol/config.h"
#include "scheduler/server/agents.h"
#include "scheduler/server/crash_point.h"
#include "scheduler/server/daemon.h"
#include "scheduler/server/front_door.h"
#include "scheduler/api/month.h"
#include "scheduler/server/secret_file.h"

namespace ultramarine::server {

namespace {

constexpr int failure = 1, usage = 2, no_permission = 4, conflict = 6;
constexpr auto linger = std::chrono::milliseconds(200);  // for the last answers to leave

/// Why the daemon does not start: one line.
struct Refused : std::runtime_error {
  Refused(int code, const std::string& line) : std::runtime_error(line), exit_code(code) {}
  int exit_code;
};

[[noreturn]] void refuse(int code, const std::string& field, const std::string& problem, const std::string& remedy) {
  throw Refused(code, field + ": " + problem + " (" + remedy + ")");
}

net::Endpoint endpoint_of(const std::string& field, const std::string& text) {
  const auto endpoint = net::parse_endpoint(text);
  if (!endpoint || endpoint->is_unix())
    refuse(usage, field, "\"" + text + "\" is no address", "write host:port, for example 127.0.0.1:8642");
  return *endpoint;
}

void check(const protocol::SchedulerSection& scheduler) {
  if (scheduler.socket.size() > net::unix_path_max)
    refuse(usage, "[scheduler].socket", "the path " + scheduler.socket + " is longer than " + std::to_string(net::unix_path_max) + " bytes",
           "name a shorter one");
  if (!scheduler.http.empty() && !net::is_loopback(endpoint_of("[scheduler].http", scheduler.http)))
    refuse(usage, "[scheduler].http", scheduler.http + " is not a loopback address, and this door asks nobody who he is",
           "use 127.0.0.1:PORT");
  if (!net::is_loopback(endpoint_of("[scheduler].agents", scheduler.agents)) && !scheduler.trusted_network)
    refuse(usage, "[scheduler].agents",
           scheduler.agents + " is not a loopback address, and traffic with agents is authenticated but not encrypted",
           "write trusted_network = true if nobody else is on that network");
}

constexpr const char* zone_remedy = "write it like Europe/Berlin, or install Debian's tzdata; `timedatectl list-timezones` lists them";

void check_time_zone(const std::string& file, const std::string& zone) {
  if (!api::is_time_zone(zone))
    refuse(usage, file + ": time_zone", "this machine knows no time zone " + zone, zone_remedy);
}

/// What a running daemon can't take over: where it listens and what it keeps.
void check_needs_no_restart(const protocol::SchedulerSection& running, const protocol::SchedulerSection& fresh) {
  boost::mp11::mp_for_each<protocol::detail::members<protocol::SchedulerSection>>([&](auto member) {
    if (std::string_view(member.name) == "policy" || running.*member.pointer == fresh.*member.pointer) return;
    throw api::conflict("[scheduler]." + std::string(member.name) + " is another than the running scheduler's", "put it back, or restart the scheduler: jobs run on meanwhile");
  });
}

/// The files as they are by now. Throws api::Problem.
Configuration read_anew(const std::string& path, const protocol::SchedulerSection& running) {
  try {
    const protocol::ClusterFile file = protocol::load_cluster_file(path);
    if (!api::is_time_zone(file.cluster.time_zone))
      throw api::bad_request("", path + ": time_zone: this machine knows no time zone " + file.cluster.time_zone, zone_remedy);
    check_needs_no_restart(running, file.scheduler);
    return {file.cluster, protocol::load_policy(file.scheduler.policy), file.metrics, {file.notifications, read_notification_secrets(file.notifications)}};
  } catch (const SecretError& error) {
    throw api::bad_request("", path + ": [notifications]: " + error.problem, error.remedy);
  } catch (const protocol::ConfigError& error) {
    std::string message = error.where;
    for (const std::string* part : {&error.field, &error.problem})
      if (!part->empty()) message += (message.empty() ? "" : ": ") + *part;
    throw api::bad_request("", message, error.remedy);
  }
}

void make_state_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (::mkdir(path.c_str(), 0700) == 0) return;
  const int number = errno;
  struct stat status {};
  if (number == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    if (::access(path.c_str(), W_OK | X_OK) != 0)
      refuse(no_permission, "[scheduler].state_directory", path + ": " + std::strerror(errno),
             "make it writable for uid " + std::to_string(::geteuid()));
    return;
  }
  if (number == EEXIST) refuse(usage, "[scheduler].state_directory", path + " is no folder", "name another one");
  refuse(number == EACCES || number == EPERM ? no_permission : usage, "[scheduler].state_directory",
         "can't make " + path + ": " + std::strerror(number), "make it, or name another one");
}

std::unique_ptr<store::Store> open_store(const std::string& state_directory) {
  try {
    return store::open_sqlite(state_directory + "/journal.sqlite");
  } catch (const store::StoreError& error) {
    const std::string problem = error.what();
    if (problem.find("in use") != std::string::npos)
      refuse(conflict, "[scheduler].state_directory", problem, "another scheduler runs on it: stop that one first");
    throw Refused(failure, problem);
  }
}

template <class Listen>
std::unique_ptr<net::Server> listen(const std::string& field, const std::string& address, const Listen& how) {
  try {
    return how();
  } catch (const net::NetError& error) {
    if (error.error_number == EACCES || error.error_number == EPERM)
      refuse(no_permission, field, error.what(), "choose an address or folder that uid " + std::to_string(::geteuid()) + " may use");
    refuse(error.error_number == EADDRINUSE ? conflict : failure, field, error.what(),
           error.error_number == EADDRINUSE ? "another program listens on " + address + ": stop it, or choose another address"
                                            : "choose another address");
  }
}

void set_up_log(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("ultra-scheduler", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

metrics::Build build() {
#if defined(__clang__)
  const std::string compiler = "clang " + std::to_string(__clang_major__) + "." + std::to_string(__clang_minor__);
#else
  const std::string compiler = "g++ " + std::to_string(__GNUC__) + "." + std::to_string(__GNUC_MINOR__);
#endif
  return {ULTRAMARINE_VERSION, ULTRAMARINE_REVISION, compiler};
}

/// The web page lies where the programs lie: PREFIX/bin, PREFIX/share; the same in the build folder.
std::filesystem::path page_folder() {
  std::error_code unknown;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  return program.parent_path().parent_path() / "share" / "ultramarine" / "dashboard";
}

notifier::Means notification_means(const std::string& file, const protocol::NotificationsSection& section) {
  try {
    return {section, read_notification_secrets(section)};
  } catch (const SecretError& error) {
    refuse(usage, file + ": [notifications]", error.problem, error.remedy);
  }
}

int serve(const ProgramOptions& options) {
  const std::string armed = armed_crash_point();
  const protocol::ClusterFile file = protocol::load_cluster_file(options.config);
  const protocol::SchedulerSection& section = file.scheduler;
  check(section);
  check_time_zone(options.config, file.cluster.time_zone);
  DaemonOptions daemon_options;
  daemon_options.cluster = file.cluster;
  daemon_options.policy = protocol::load_daemon_policy(section.policy);
  daemon_options.cluster_secret = read_secret(section.secret_file);
  daemon_options.uid = ::geteuid();
  daemon_options.user_name = user_name(::geteuid());
  daemon_options.from_journal = options.from_journal;
  daemon_options.build = build();
  daemon_options.metrics = file.metrics;
  daemon_options.notifications = notification_means(options.config, file.notifications);
  daemon_options.read_configuration = [path = options.config, running = section] { return read_anew(path, running); };
  make_state_directory(section.state_directory);
  const std::unique_ptr<store::Store> store = open_store(section.state_directory);

  net::Loop loop;
  int exit_code = 0;
  std::unique_ptr<net::Loop::Timer> last_answers;
  // Declared before the daemon: its thread may end by itself at any time.
  const auto ended = [&](int code, const std::string& message) {
    if (code != 0) {
      // Nothing may be answered from a state that is not on disk; what runs on the nodes runs on.
      spdlog::critical("{}", message);
      std::fflush(stderr);
      std::_Exit(code);
    }
    loop.post([&] { last_answers = loop.after(linger, [&] { loop.stop(); }); });
  };
  Daemon daemon(loop, *store, daemon_options, ended);
  const std::filesystem::path page = page_folder();
  FrontDoor front_door(loop, daemon, ULTRAMARINE_VERSION, PageFiles(page));
  AgentDoor agent_door(loop, daemon, daemon_options.cluster_secret, front_door.api());
  std::vector<std::unique_ptr<net::Server>> servers;
  servers.push_back(listen("[scheduler].socket", section.socket, [&] { return front_door.listen_unix(section.socket); }));
  std::string http_address;
  if (!section.http.empty()) {
    servers.push_back(listen("[scheduler].http", section.http,
                             [&] { return front_door.listen_loopback(endpoint_of("[scheduler].http", section.http)); }));
    http_address = servers.back()->endpoint().text();
  }
  const net::LineTimes line{.silence = std::chrono::milliseconds(file.cluster.timeouts.line_silence_ms.ms),
                            .unacknowledged = std::chrono::milliseconds(file.cluster.timeouts.line_unacknowledged_ms.ms)};
  servers.push_back(
      listen("[scheduler].agents", section.agents, [&] { return agent_door.listen(endpoint_of("[scheduler].agents", section.agents), line); }));
  if (!std::filesystem::exists(page / "index.html")) spdlog::info("the web page was not built: there is none in {}", page.string());
  const std::string agents_address = servers.back()->endpoint().text();
  daemon.set_addresses(http_address, agents_address);

  spdlog::info("ultra-scheduler {} of cluster {}: api {}, http {}, agents {}", ULTRAMARINE_VERSION, file.cluster.name, section.socket,
               http_address.empty() ? "off" : http_address, agents_address);
  if (!armed.empty()) spdlog::warn("{}", armed);
  if (!net::is_loopback(endpoint_of("[scheduler].agents", section.agents)))
    spdlog::warn("trusted_network = true: traffic with agents on {} is authenticated but not encrypted", agents_address);

  loop.on_signals({SIGTERM, SIGINT}, [&](int signal) {
    spdlog::info("{}: stopping; jobs run on", signal == SIGTERM ? "SIGTERM" : "SIGINT");
    loop.stop();
  });
  daemon.start();
  loop.run();
  daemon.stop();
  for (const auto& server : servers) server->close();
  spdlog::info("stopped");
  return exit_code;
}

}  // namespace

int run_scheduler(const ProgramOptions& options) {
  set_up_log(options.log_level);
  std::signal(SIGPIPE, SIG_IGN);
  ::umask(077);
  const auto say = [](const std::string& line) { std::fprintf(stderr, "ultra-scheduler: %s\n", line.c_str()); };
  try {
    return serve(options);
  } catch (const Refused& refused) {
    say(refused.what());
    return refused.exit_code;
  } catch (const protocol::ConfigError& error) {
    say(error.what());
    return usage;
  } catch (const SecretError& error) {
    say("[scheduler].secret_file: " + error.problem + " (" + error.remedy + ")");
    return usage;
  } catch (const std::invalid_argument& error) {
    say(error.what());
    return usage;
  } catch (const std::exception& error) {
    say(error.what());
    return failure;
  }
}

}  // namespace ultramarine::server
