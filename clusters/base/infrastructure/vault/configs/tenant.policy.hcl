# What a tenant's own service account may do; TENANT is replaced by its name.
path "kv/data/tenants/TENANT/*" {
  capabilities = ["read"]
}
path "kv/metadata/tenants/TENANT/*" {
  capabilities = ["read", "list"]
}
path "kubernetes-creds/creds/TENANT-reader" {
  capabilities = ["create", "update"]
}
path "pki/issue/TENANT" {
  capabilities = ["create", "update"]
}
# The operator revokes a lease with the object that asked for it; the tenant's own leases and no others.
path "sys/leases/revoke" {
  capabilities = ["update"]
  allowed_parameters = {
    "lease_id" = ["kubernetes-creds/creds/TENANT-reader/*"]
  }
}
