// Preloaded into the gateway (`node --require`): what listens on every address listens on loopback.
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  if (typeof given[0] === "object" && given[0] !== null) given[0] = { ...given[0], host: "127.0.0.1" };
  else if (typeof given[1] === "string") given[1] = "127.0.0.1";
  else given.splice(1, 0, "127.0.0.1");
  return listen.apply(this, given);
};
