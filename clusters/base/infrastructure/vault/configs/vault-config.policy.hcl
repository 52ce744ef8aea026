# What the Job needs to keep Vault as Git says. It can write policies and is therefore as powerful as an administrator;
# its login is bound to one service account in the namespace vault, for which only Flux makes pods.
path "sys/audit" {
  capabilities = ["read", "sudo"]
}
path "sys/audit/*" {
  capabilities = ["create", "update", "read", "sudo"]
}
path "sys/auth" {
  capabilities = ["read"]
}
path "sys/auth/*" {
  capabilities = ["create", "update", "read", "sudo"]
}
path "sys/mounts" {
  capabilities = ["read"]
}
path "sys/mounts/*" {
  capabilities = ["create", "update", "read"]
}
path "sys/policies/acl" {
  capabilities = ["list"]
}
path "sys/policies/acl/*" {
  capabilities = ["create", "update", "read"]
}
path "sys/tools/random/*" {
  capabilities = ["update"]
}
path "auth/kubernetes/config" {
  capabilities = ["create", "update", "read"]
}
path "auth/kubernetes/role/*" {
  capabilities = ["create", "update", "read"]
}
path "kv/config" {
  capabilities = ["create", "update", "read"]
}
# First values only: it can neither read nor change what is there.
path "kv/data/tenants/*" {
  capabilities = ["create"]
}
path "kv/metadata/tenants/*" {
  capabilities = ["read"]
}
path "kubernetes-creds/config" {
  capabilities = ["create", "update", "read"]
}
path "kubernetes-creds/roles/*" {
  capabilities = ["create", "update", "read"]
}
path "pki/config/*" {
  capabilities = ["create", "update", "read"]
}
path "pki/issuers" {
  capabilities = ["list"]
}
path "pki/root/generate/internal" {
  capabilities = ["create", "update"]
}
path "pki/roles/*" {
  capabilities = ["create", "update", "read"]
}
