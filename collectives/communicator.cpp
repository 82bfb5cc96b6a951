// The part of every collective that doesn't depend on the backend: refusing what is wrong, counting, the flight record,
// and errors that name rank, operation and sequence number.
#include "collectives/communicator.h"

#include <algorithm>
#include <utility>

#include "collectives/flight_recorder.h"
#include "collectives/work.h"

namespace ultramarine::collectives {
namespace {

bool overlap(const Buffer& a, const Buffer& b) {
  const auto* const begin_a = static_cast<const char*>(a.data);
  const auto* const begin_b = static_cast<const char*>(b.data);
  return begin_a < begin_b + bytes_of(b) && begin_b < begin_a + bytes_of(a);
}

std::string text_of(const Buffer& buffer) {
  return std::to_string(buffer.count) + " " + std::string(name_of(buffer.type)) +
         (buffer.residence == Residence::host ? " on the host" : " on the device");
}

}  // namespace

Pending::Pending(const Call& call, std::shared_ptr<FlightRecorder> recorder, std::unique_ptr<Work> work)
    : sequence_(call.sequence), recorder_(std::move(recorder)), work_(std::move(work)) {}

Pending::~Pending() {
  if (complete_ || !error_.empty()) return;
  try {
    if (test()) return;
  } catch (const CollectiveError&) {
    return;  // the gang knows
  }
  work_->give_up(failed("abandoned before it was complete"));
}

std::string Pending::failed(const std::string& reason) { return error_ = recorder_->failed(sequence_, reason); }

void Pending::complete() {
  complete_ = true;
  recorder_->complete(sequence_);
}

bool Pending::test() {
  if (complete_) return true;
  if (!error_.empty()) {
    if (late_) throw DeadlineExceeded(error_);
    throw CollectiveError(error_);
  }
  try {
    if (!work_->test()) return false;
  } catch (const CollectiveError& error) {
    throw CollectiveError(failed(error.what()));
  }
  complete();
  return true;
}

void Pending::wait(std::chrono::milliseconds deadline) {
  if (complete_ || !error_.empty()) {
    test();
    return;
  }
  try {
    work_->wait(deadline);
  } catch (const DeadlineExceeded& error) {
    late_ = true;
    work_->give_up(failed(error.what()));
    throw DeadlineExceeded(error_);
  } catch (const CollectiveError& error) {
    throw CollectiveError(failed(error.what()));
  }
  complete();
}

Communicator::Communicator(std::string_view backend, int rank, int world_size, Capabilities capabilities)
    : backend_(backend),
      rank_(rank),
      world_size_(world_size),
      capabilities_(std::move(capabilities)),
      recorder_(std::make_shared<FlightRecorder>(backend, rank, world_size)) {}

Communicator::~Communicator() = default;

Counters Communicator::counters() const { return recorder_->counters(); }

void Communicator::check(const Buffer& buffer, const std::string& name) const {
  const auto refuse = [&](const std::string& why) {
    throw CollectiveError(std::string(backend_) + ": " + name + ": " + why);
  };
  const bool host = buffer.residence == Residence::host;
  if (host ? !capabilities_.host_buffers : !capabilities_.device_buffers) {
    refuse(std::string("works on ") + (host ? "device" : "host") + " memory only");
  }
  const auto& types = capabilities_.types;
  if (std::find(types.begin(), types.end(), buffer.type) == types.end()) {
    refuse("can't do " + std::string(name_of(buffer.type)));
  }
  if (!buffer.data && buffer.count > 0) refuse("no memory for " + std::to_string(buffer.count) + " elements");
}

std::unique_ptr<Pending> Communicator::begin(Call call) {
  const bool parts = call.kind == Kind::reduce_scatter || call.kind == Kind::all_gather;
  call.sequence = recorder_->started(call, call.bytes() * static_cast<std::size_t>(parts ? world_size_ : 1));
  try {
    return std::make_unique<Pending>(call, recorder_, start(call));
  } catch (const DeadlineExceeded& error) {
    throw DeadlineExceeded(recorder_->failed(call.sequence, error.what()));
  } catch (const CollectiveError& error) {
    throw CollectiveError(recorder_->failed(call.sequence, error.what()));
  }
}

/// The buffers of `kind` fit together, and share no memory but where the collective works in place.
void Communicator::check(Kind kind, const Buffer& send, const Buffer& receive) const {
  const std::string name(name_of(kind));
  check(send, name);
  check(receive, name);
  const auto ranks = static_cast<std::size_t>(world_size_);
  const std::size_t parts_sent = kind == Kind::reduce_scatter ? ranks : 1;
  const std::size_t parts_received = kind == Kind::all_gather ? ranks : 1;
  if (send.count * parts_received != receive.count * parts_sent || send.type != receive.type ||
      send.residence != receive.residence) {
    throw CollectiveError(std::string(backend_) + ": " + name + " over " + std::to_string(ranks) + " ranks: sends " +
                          text_of(send) + ", receives " + text_of(receive));
  }
  const void* sent = kind == Kind::reduce_scatter ? part_of(send, rank_, world_size_).data : send.data;
  const void* received = kind == Kind::all_gather ? part_of(receive, rank_, world_size_).data : receive.data;
  if (sent != received && overlap(send, receive)) {
    throw CollectiveError(std::string(backend_) + ": " + name + ": the buffers overlap, and not as in place");
  }
}

std::unique_ptr<Pending> Communicator::all_reduce(Buffer send, Buffer receive, Operation operation, Stream stream) {
  check(Kind::all_reduce, send, receive);
  return begin(
      {Kind::all_reduce, operation, 0, send.data, receive.data, send.count, send.type, send.residence, stream});
}

std::unique_ptr<Pending> Communicator::reduce_scatter(Buffer send, Buffer receive, Operation operation, Stream stream) {
  check(Kind::reduce_scatter, send, receive);
  return begin(
      {Kind::reduce_scatter, operation, 0, send.data, receive.data, receive.count, send.type, send.residence, stream});
}

std::unique_ptr<Pending> Communicator::all_gather(Buffer send, Buffer receive, Stream stream) {
  check(Kind::all_gather, send, receive);
  return begin(
      {Kind::all_gather, Operation::sum, 0, send.data, receive.data, send.count, send.type, send.residence, stream});
}

std::unique_ptr<Pending> Communicator::broadcast(Buffer send, Buffer receive, int root, Stream stream) {
  if (root < 0 || root >= world_size_) {
    throw CollectiveError(std::string(backend_) + ": broadcast from rank " + std::to_string(root) + " of " +
                          std::to_string(world_size_));
  }
  if (rank_ != root) send = receive;
  check(Kind::broadcast, send, receive);
  return begin({Kind::broadcast, Operation::sum, root, send.data, receive.data, receive.count, receive.type,
                receive.residence, stream});
}

std::unique_ptr<Pending> Communicator::barrier(Stream stream) {
  Call call;
  call.stream = stream;
  return begin(call);
}

}  // namespace ultramarine::collectives
