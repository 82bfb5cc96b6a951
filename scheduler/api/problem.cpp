// The few shapes of problems, so that code word and status always go together.
#include "scheduler/api/problem.h"

namespace ultramarine::api {

Problem bad_request(std::string field, std::string message, std::string remedy) {
  return {400, "bad_request", std::move(field), std::move(message), std::move(remedy)};
}
Problem not_permitted(std::string message, std::string remedy) { return {403, "not_permitted", "", std::move(message), std::move(remedy)}; }
Problem not_found(std::string message, std::string remedy) { return {404, "not_found", "", std::move(message), std::move(remedy)}; }
Problem unknown_job(const std::string& name) { return not_found("there is no job " + name, "`ultra queue --all` lists all jobs"); }
Problem conflict(std::string message, std::string remedy) { return {409, "conflict", "", std::move(message), std::move(remedy)}; }
Problem not_ready(std::string message, std::string remedy) { return {503, "not_ready", "", std::move(message), std::move(remedy)}; }

Problem from_refusal(const core::Refusal& refusal) {
  const std::string field = refusal.field.empty() || refusal.field.rfind("spec", 0) == 0 || refusal.field.rfind("array", 0) == 0 ? refusal.field : "spec." + refusal.field;
  return {400, refusal.impossible ? "impossible" : "bad_request", field, refusal.problem, refusal.remedy};
}

}  // namespace ultramarine::api
