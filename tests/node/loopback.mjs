// Loaded before a program that would listen on every interface (node --import): it listens on loopback.
import net from 'node:net';

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function loopback(port, ...rest) {
  const named = typeof rest[0] === 'string';
  return listen.call(this, port, ...(named ? rest : ['127.0.0.1', ...rest]));
};
