#include "worker/launcher/mpi_support.h"

#include "scheduler/net/proof.h"
#include "worker/launcher/gang_star.h"
#include "worker/launcher/job_folder.h"
#include "worker/launcher/pmix_server.h"

namespace ultramarine::launcher {
namespace {

class PmixSupport final : public MpiSupport {
 public:
  explicit PmixSupport(MpiGang gang) : gang_(std::move(gang)) {
    star_ = std::make_unique<GangStar>(gang_.loop, gang_.key, gang_.layout, gang_.node, gang_.secret, [this](std::int64_t rank, GangStar::OnModex answer) {
      if (pmix_) pmix_->find_modex(rank, std::move(answer));
    });
    if (serves_others()) peer_port_ = star_->listen(gang_.address);
    // The name is shared by the nodes of one gang and by nobody else; of the secret it tells nothing.
    const std::string name_space = "ultramarine-" + text_of(gang_.key) + "-" + net::sha256_hex(gang_.secret).substr(0, 12);
    pmix_ = std::make_unique<PmixServer>(gang_.loop, gang_.layout, gang_.node, name_space, gang_.folder,
                                         PmixRequests{.fence =
                                                          [this](const std::string& ranks, std::string data, std::function<void(std::string)> done) {
                                                            star_->fence(ranks, std::move(data), [this, done](std::string whole) {
                                                              if (pmix_) done(std::move(whole));
                                                            });
                                                          },
                                                      .modex =
                                                          [this](std::int64_t rank, std::function<void(std::int64_t, std::string)> done) {
                                                            star_->modex(rank, [this, done](std::int64_t code, std::string data) {
                                                              if (pmix_) done(code, std::move(data));
                                                            });
                                                          },
                                                      .presence = gang_.presence,
                                                      .abort = gang_.abort,
                                                      .log = gang_.log});
  }

  ~PmixSupport() override {
    star_.reset();  // its connections still call us while they go
    pmix_.reset();
  }

  std::int64_t peer_port() const override { return peer_port_; }

  void connect(const net::Endpoint& middle, std::function<void()> on_ready, std::function<void(const std::string&)> on_failed) override {
    if (star_->is_middle()) return on_ready();
    star_->connect(middle, std::move(on_ready), std::move(on_failed));
  }

  void add_environment(std::int64_t rank, bool loopback, bool oversubscribed, Environment& environment) override {
    add_mpi_environment(environment, {.folder = gang_.folder, .loopback = loopback, .oversubscribed = oversubscribed});
    pmix_->add_environment(rank, environment);
  }

  void stop_serving() override { pmix_.reset(); }
  bool serves_others() const override { return star_->is_middle() && gang_.layout.nodes().size() > 1; }
  void when_alone(std::function<void()> done) override { star_->when_alone(std::move(done)); }
  bool everybody_came() const override { return star_->everybody_came(); }
  void close(std::function<void()> done) override { star_->close(std::move(done)); }

 private:
  const MpiGang gang_;
  std::unique_ptr<GangStar> star_;
  std::unique_ptr<PmixServer> pmix_;
  std::int64_t peer_port_ = 0;
};

}  // namespace

std::unique_ptr<MpiSupport> make_mpi_support(MpiGang gang) { return std::make_unique<PmixSupport>(std::move(gang)); }

}  // namespace ultramarine::launcher
