#include "worker/launcher/pmix_server.h"

#include <pmix.h>
#include <pmix_server.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <future>
#include <stdexcept>

#include "worker/launcher/mpi_environment.h"

namespace ultramarine::launcher {

struct PmixServer::Implementation {
  net::Loop& loop;
  GangLayout layout;
  std::string name_space;
  PmixRequests requests;
};

namespace {

using Implementation = PmixServer::Implementation;

/// The library's callbacks carry no context of ours. Set before its thread starts and cleared after that has ended.
std::atomic<const std::weak_ptr<Implementation>*> current{nullptr};

/// Runs `work(implementation)` on the loop's thread, unless the server is gone by then. From the library's thread.
template <class Work>
void hand_over(Work work) {
  const std::weak_ptr<Implementation> weak = *current.load();
  if (const auto server = weak.lock()) {
    server->loop.post([weak, work = std::move(work)] {
      if (const auto still_there = weak.lock()) work(*still_there);
    });
  }
}

/// A buffer for the library and the function by which it gives it back.
char* copy_for_library(const std::string& data) {
  if (data.empty()) return nullptr;
  char* const copy = static_cast<char*>(std::malloc(data.size()));
  if (copy != nullptr) std::memcpy(copy, data.data(), data.size());
  return copy;
}
void release_copy(void* copy) { std::free(copy); }

void answer(pmix_modex_cbfunc_t callback, void* context, pmix_status_t status, const std::string& data) {
  char* const copy = copy_for_library(data);
  callback(status, copy, copy == nullptr ? 0 : data.size(), context, release_copy, copy);
}

/// The client goes on when this returns: what it says about itself is in the loop's hands before it can exit.
pmix_status_t on_presence(const pmix_proc_t* process, bool is_in) {
  hand_over([rank = static_cast<std::int64_t>(process->rank), is_in](Implementation& server) { server.requests.presence(rank, is_in); });
  return PMIX_OPERATION_SUCCEEDED;
}
pmix_status_t on_connected(const pmix_proc_t* process, void*, pmix_op_cbfunc_t, void*) { return on_presence(process, true); }
pmix_status_t on_finalized(const pmix_proc_t* process, void*, pmix_op_cbfunc_t, void*) { return on_presence(process, false); }

pmix_status_t on_abort(const pmix_proc_t* process, void*, int status, const char message[], pmix_proc_t[], size_t, pmix_op_cbfunc_t,
                       void*) {
  hand_over([rank = static_cast<std::int64_t>(process->rank), status, text = std::string(message == nullptr ? "" : message)](
                Implementation& server) { server.requests.abort(rank, status, text); });
  return PMIX_OPERATION_SUCCEEDED;
}

pmix_status_t on_fence(const pmix_proc_t processes[], size_t count, const pmix_info_t[], size_t, char* data, size_t size,
                       pmix_modex_cbfunc_t callback, void* context) {
  if (callback == nullptr) return PMIX_ERR_BAD_PARAM;
  std::vector<std::int64_t> ranks;
  bool everybody = count == 0;
  for (size_t i = 0; i < count; ++i) {
    everybody = everybody || processes[i].rank == PMIX_RANK_WILDCARD;
    ranks.push_back(processes[i].rank);
  }
  hand_over([everybody, ranks, mine = std::string(data == nullptr ? "" : data, data == nullptr ? 0 : size), callback,
             context](Implementation& server) {
    server.requests.fence(everybody ? "*" : server.layout.text_of(ranks), mine,
                          [callback, context](const std::string& whole) { answer(callback, context, PMIX_SUCCESS, whole); });
  });
  return PMIX_SUCCESS;
}

pmix_status_t on_modex(const pmix_proc_t* process, const pmix_info_t[], size_t, pmix_modex_cbfunc_t callback, void* context) {
  hand_over([rank = static_cast<std::int64_t>(process->rank), callback, context](Implementation& server) {
    server.requests.modex(rank, [callback, context](std::int64_t code, const std::string& data) {
      answer(callback, context, static_cast<pmix_status_t>(code), data);
    });
  });
  return PMIX_SUCCESS;
}

void on_log(const pmix_proc_t* process, const pmix_info_t data[], size_t count, const pmix_info_t[], size_t, pmix_op_cbfunc_t callback,
            void* context) {
  std::vector<std::pair<bool, std::string>> words;  // for standard error (true) or output
  for (size_t i = 0; i < count; ++i) {
    const pmix_value_t& value = data[i].value;
    const bool is_error = PMIX_CHECK_KEY(&data[i], PMIX_LOG_STDERR);
    if (is_error || PMIX_CHECK_KEY(&data[i], PMIX_LOG_STDOUT)) {
      if (value.type == PMIX_STRING && value.data.string != nullptr) words.emplace_back(is_error, value.data.string);
    } else if (PMIX_CHECK_KEY(&data[i], PMIX_LOG_MSG) && value.type == PMIX_BYTE_OBJECT && value.data.bo.bytes != nullptr) {
      words.emplace_back(true, text_of_help_message({value.data.bo.bytes, value.data.bo.size}));
    }
  }
  // The library holds a lock meanwhile that its callback takes as well: it must be called from elsewhere.
  hand_over([rank = static_cast<std::int64_t>(process->rank), words, callback, context](Implementation& server) {
    for (const auto& [is_error, text] : words) server.requests.log(rank, is_error, text);
    if (callback != nullptr) callback(PMIX_SUCCESS, context);
  });
}

void check(pmix_status_t status, const char* what) {
  if (status != PMIX_SUCCESS && status != PMIX_OPERATION_SUCCEEDED) {
    throw std::runtime_error(std::string("PMIx: ") + what + ": " + PMIx_Error_string(status));
  }
}

/// Waits for an operation that the library completes on its own thread.
class Completion {
 public:
  static void callback(pmix_status_t status, void* self) { static_cast<Completion*>(self)->status_.set_value(status); }
  void wait(pmix_status_t started, const char* what) {
    if (started == PMIX_OPERATION_SUCCEEDED) return;
    check(started, what);
    check(status_.get_future().get(), what);
  }

 private:
  std::promise<pmix_status_t> status_;
};

/// Key-value pairs for the library, which copies them.
class InfoList {
 public:
  InfoList() = default;
  InfoList(const InfoList&) = delete;
  InfoList& operator=(const InfoList&) = delete;
  ~InfoList() {
    for (pmix_info_t& info : infos_) PMIX_INFO_DESTRUCT(&info);
  }
  void add(const char* key, const std::string& text) { load(key, text.c_str(), PMIX_STRING); }
  void add(const char* key, std::uint32_t number) { load(key, &number, PMIX_UINT32); }
  void add_small(const char* key, std::uint16_t number) { load(key, &number, PMIX_UINT16); }
  void add_rank(const char* key, pmix_rank_t rank) { load(key, &rank, PMIX_PROC_RANK); }
  void add_regex(const char* key, char* regex) { load(key, regex, PMIX_REGEX); }
  void add_list(const char* key, InfoList& list) {
    pmix_data_array_t array{};
    array.type = PMIX_INFO;
    array.size = list.infos_.size();
    array.array = list.infos_.data();
    load(key, &array, PMIX_DATA_ARRAY);
  }
  pmix_info_t* data() { return infos_.data(); }
  size_t size() const { return infos_.size(); }

 private:
  void load(const char* key, const void* value, pmix_data_type_t type) {
    pmix_info_t& info = infos_.emplace_back();
    std::memset(&info, 0, sizeof info);
    PMIX_INFO_LOAD(&info, key, value, type);
  }
  std::vector<pmix_info_t> infos_;
};

std::string joined(const std::vector<RankPlace>& places) {
  std::string text;
  for (const RankPlace& place : places) text += (text.empty() ? "" : ",") + std::to_string(place.rank);
  return text;
}

pmix_proc_t process_of(const std::string& name_space, std::int64_t rank) {
  pmix_proc_t process;
  PMIX_PROC_CONSTRUCT(&process);
  PMIX_LOAD_PROCID(&process, name_space.c_str(), static_cast<pmix_rank_t>(rank));
  return process;
}

void register_gang(const GangLayout& layout, const std::string& node, const std::string& name_space) {
  const std::vector<RankPlace> places = layout.on_node(node);
  std::string names, map;
  for (const std::string& name : layout.nodes()) {
    names += (names.empty() ? "" : ",") + name;
    map += (map.empty() ? "" : ";") + joined(layout.on_node(name));
  }
  char* node_map = nullptr;
  char* process_map = nullptr;
  check(PMIx_generate_regex(names.c_str(), &node_map), "generate_regex");
  check(PMIx_generate_ppn(map.c_str(), &process_map), "generate_ppn");

  const auto world_size = static_cast<std::uint32_t>(layout.world_size());
  const auto local_size = static_cast<std::uint32_t>(places.size());
  InfoList gang;
  gang.add_regex(PMIX_NODE_MAP, node_map);
  gang.add_regex(PMIX_PROC_MAP, process_map);
  std::free(node_map);
  std::free(process_map);
  gang.add(PMIX_UNIV_SIZE, world_size);
  gang.add(PMIX_JOB_SIZE, world_size);
  gang.add(PMIX_MAX_PROCS, world_size);
  gang.add(PMIX_LOCAL_SIZE, local_size);
  gang.add(PMIX_NODE_SIZE, local_size);
  gang.add(PMIX_NUM_NODES, static_cast<std::uint32_t>(layout.nodes().size()));
  gang.add(PMIX_JOBID, name_space);
  gang.add(PMIX_APPNUM, std::uint32_t{0});
  gang.add_rank(PMIX_APPLDR, 0);
  gang.add(PMIX_LOCAL_PEERS, joined(places));
  gang.add_rank(PMIX_LOCALLDR, static_cast<pmix_rank_t>(places.front().rank));
  gang.add(PMIX_NODEID, static_cast<std::uint32_t>(places.front().node_rank));
  for (const RankPlace& place : layout.ranks()) {
    InfoList rank;
    rank.add_rank(PMIX_RANK, static_cast<pmix_rank_t>(place.rank));
    rank.add_small(PMIX_LOCAL_RANK, static_cast<std::uint16_t>(place.local_rank));
    rank.add_small(PMIX_NODE_RANK, static_cast<std::uint16_t>(place.local_rank));
    rank.add(PMIX_NODEID, static_cast<std::uint32_t>(place.node_rank));
    rank.add(PMIX_APPNUM, std::uint32_t{0});
    rank.add_rank(PMIX_GLOBAL_RANK, static_cast<pmix_rank_t>(place.rank));
    rank.add(PMIX_HOSTNAME, place.node);
    gang.add_list(PMIX_PROC_DATA, rank);
  }
  Completion completion;
  completion.wait(PMIx_server_register_nspace(name_space.c_str(), static_cast<int>(places.size()), gang.data(), gang.size(),
                                              &Completion::callback, &completion),
                  "register_nspace");
  for (const RankPlace& place : places) {
    const pmix_proc_t process = process_of(name_space, place.rank);
    Completion registered;
    registered.wait(PMIx_server_register_client(&process, ::getuid(), ::getgid(), nullptr, &Completion::callback, &registered),
                    "register_client");
  }
}

struct OpenFind {
  std::weak_ptr<Implementation> server;
  std::function<void(std::int64_t, std::string)> done;
};

void on_found(pmix_status_t status, char* data, size_t size, void* context) {
  const std::unique_ptr<OpenFind> find(static_cast<OpenFind*>(context));
  const auto server = find->server.lock();
  if (!server) return;
  const std::string found(data == nullptr ? "" : data, data == nullptr ? 0 : size);
  server->loop.post([weak = find->server, done = find->done, status, found] {
    if (weak.lock()) done(status, found);
  });
}

}  // namespace

PmixServer::PmixServer(net::Loop& loop, const GangLayout& layout, const std::string& node, const std::string& name_space,
                       const std::string& folder, PmixRequests requests)
    : implementation_(std::make_shared<Implementation>(Implementation{loop, layout, name_space, std::move(requests)})) {
  auto* const before = current.exchange(new std::weak_ptr<Implementation>(implementation_));
  if (before != nullptr) {
    delete current.exchange(before);
    throw std::runtime_error("PMIx: this process has a server already");
  }
  pmix_server_module_t module;
  std::memset(&module, 0, sizeof module);
  module.client_connected = on_connected;
  module.client_finalized = on_finalized;
  module.abort = on_abort;
  module.fence_nb = on_fence;
  module.direct_modex = on_modex;
  module.log = on_log;
  InfoList infos;
  infos.add(PMIX_HOSTNAME, node);
  infos.add(PMIX_SERVER_TMPDIR, folder);
  infos.add(PMIX_SYSTEM_TMPDIR, folder);
  try {
    check(PMIx_server_init(&module, infos.data(), infos.size()), "server_init");
  } catch (...) {
    delete current.exchange(nullptr);
    throw;
  }
  try {
    register_gang(layout, node, name_space);
  } catch (...) {
    PMIx_server_finalize();
    delete current.exchange(nullptr);
    throw;
  }
}

PmixServer::~PmixServer() {
  PMIx_server_finalize();
  delete current.exchange(nullptr);
}

void PmixServer::add_environment(std::int64_t rank, Environment& environment) {
  const pmix_proc_t process = process_of(implementation_->name_space, rank);
  char** variables = nullptr;
  check(PMIx_server_setup_fork(&process, &variables), "setup_fork");
  for (char** variable = variables; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (const std::size_t equals = text.find('='); equals != std::string::npos) {
      environment[text.substr(0, equals)] = text.substr(equals + 1);
    }
    std::free(*variable);
  }
  std::free(variables);
}

void PmixServer::find_modex(std::int64_t rank, std::function<void(std::int64_t, std::string)> done) {
  const pmix_proc_t process = process_of(implementation_->name_space, rank);
  auto find = std::make_unique<OpenFind>(OpenFind{implementation_, done});
  const pmix_status_t status = PMIx_server_dmodex_request(&process, on_found, find.get());
  if (status == PMIX_SUCCESS) {
    find.release();  // on_found takes it
  } else {
    done(status, "");
  }
}

}  // namespace ultramarine::launcher
