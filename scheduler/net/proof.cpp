// Three messages, the server first:
//   server -> client   ultramarine-proof 1 <server nonce>
//   client -> server   ultramarine-proof 1 <client nonce> <proof of the client>
//   server -> client   ultramarine-proof 1 <proof of the server>
// A proof is HMAC-SHA-256 with the secret over the role, the context and both nonces, each with its length before it. Both nonces are
// fresh, so a recorded proof is worth nothing; the role is in it, so a proof can't be sent back to its author.
#include "scheduler/net/proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace ultramarine::net {
namespace {

}  // namespace

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned length = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()), message.size(), bytes.data(),
           &length) == nullptr) {
    throw std::runtime_error("OpenSSL: HMAC-SHA-256 failed");
  }
  return {reinterpret_cast<const char*>(bytes.data()), length};
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += {digits[byte >> 4], digits[byte & 15]};
  }
  return text;
}

std::string random_hex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(raw.data()), static_cast<int>(raw.size())) != 1) {
    throw std::runtime_error("OpenSSL: no random numbers");
  }
  return to_hex(raw);
}

std::string sha256_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes;
  unsigned length = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &length, EVP_sha256(), nullptr) != 1) throw std::runtime_error("OpenSSL: SHA-256 failed");
  return to_hex({reinterpret_cast<const char*>(bytes.data()), length});
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

namespace {

constexpr std::string_view preamble = "ultramarine-proof 1";
constexpr std::size_t nonce_bytes = 32;
constexpr std::size_t nonce_characters = 2 * nonce_bytes;
constexpr std::size_t proof_characters = 64;

std::string proof_of(std::string_view secret, std::string_view role, std::string_view context, std::string_view client_nonce,
                     std::string_view server_nonce) {
  std::string message;
  for (const std::string_view part : {preamble, role, context, client_nonce, server_nonce}) {
    message.append(std::to_string(part.size())).append(":").append(part);
  }
  return to_hex(hmac_sha256(secret, message));
}

// The words behind the preamble, when there are as many as `lengths` and each has its length.
std::optional<std::vector<std::string>> words_of(std::string_view message, std::initializer_list<std::size_t> lengths) {
  if (!message.starts_with(preamble)) return std::nullopt;
  message.remove_prefix(preamble.size());
  std::vector<std::string> words;
  for (const std::size_t length : lengths) {
    if (message.size() < length + 1 || message.front() != ' ') return std::nullopt;
    words.emplace_back(message.substr(1, length));
    if (words.back().find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
    message.remove_prefix(length + 1);
  }
  if (!message.empty()) return std::nullopt;
  return words;
}

template <class... Words>
std::string message_of(const Words&... words) {
  std::string message(preamble);
  (message.append(" ").append(words), ...);
  return message;
}

class ProofExchange : public std::enable_shared_from_this<ProofExchange> {
 public:
  ProofExchange(std::shared_ptr<Connection> connection, std::string secret, std::string context, std::function<void(bool)> done)
      : connection_(std::move(connection)), secret_(std::move(secret)), context_(std::move(context)), done_(std::move(done)),
        nonce_(random_hex(nonce_bytes)) {}
  virtual ~ProofExchange() { OPENSSL_cleanse(secret_.data(), secret_.size()); }

  void start(Loop& loop, std::chrono::milliseconds patience) {
    connection_->on_message([self = shared_from_this()](std::string_view message) {
      if (!self->done_) return;
      self->receive(message);
    });
    connection_->on_closed([self = shared_from_this()](const std::string&) { self->finish(false); });
    timer_ = loop.after(patience, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->finish(false);
    });
    begin();
  }

 protected:
  virtual void begin() {}
  virtual void receive(std::string_view message) = 0;

  void finish(bool proved) {
    if (!done_) return;
    const auto self = shared_from_this();  // the handlers below are what holds us
    const auto done = std::exchange(done_, nullptr);
    timer_.reset();
    connection_->on_message(nullptr);
    connection_->on_closed(nullptr);
    if (!proved) connection_->close();
    done(proved);
  }

  const std::shared_ptr<Connection> connection_;
  std::string secret_;
  const std::string context_;
  std::function<void(bool)> done_;
  std::unique_ptr<Loop::Timer> timer_;
  const std::string nonce_;
};

class ServerProof final : public ProofExchange {
 public:
  using ProofExchange::ProofExchange;

 private:
  void begin() override { connection_->send(message_of(nonce_)); }

  void receive(std::string_view message) override {
    const auto words = words_of(message, {nonce_characters, proof_characters});
    if (!words) return finish(false);
    const std::string& client_nonce = (*words)[0];
    if (!equal_in_constant_time((*words)[1], proof_of(secret_, "client", context_, client_nonce, nonce_))) return finish(false);
    connection_->send(message_of(proof_of(secret_, "server", context_, client_nonce, nonce_)));
    finish(true);
  }
};

class ClientProof final : public ProofExchange {
 public:
  using ProofExchange::ProofExchange;

 private:
  void receive(std::string_view message) override {
    if (server_nonce_.empty()) {
      const auto words = words_of(message, {nonce_characters});
      if (!words) return finish(false);
      server_nonce_ = (*words)[0];
      connection_->send(message_of(nonce_, proof_of(secret_, "client", context_, nonce_, server_nonce_)));
      return;
    }
    const auto words = words_of(message, {proof_characters});
    finish(words && equal_in_constant_time((*words)[0], proof_of(secret_, "server", context_, nonce_, server_nonce_)));
  }

  std::string server_nonce_;
};

}  // namespace

void prove_as_client(Loop& loop, std::shared_ptr<Connection> connection, std::string secret, std::string context, std::function<void(bool)> done,
                     std::chrono::milliseconds patience) {
  std::make_shared<ClientProof>(std::move(connection), std::move(secret), std::move(context), std::move(done))->start(loop, patience);
}

void prove_as_server(Loop& loop, std::shared_ptr<Connection> connection, std::string secret, std::string context, std::function<void(bool)> done,
                     std::chrono::milliseconds patience) {
  std::make_shared<ServerProof>(std::move(connection), std::move(secret), std::move(context), std::move(done))->start(loop, patience);
}

}  // namespace ultramarine::net
