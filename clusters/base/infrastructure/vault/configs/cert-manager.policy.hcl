# The issuer vault-pki may have certificates signed, by one role.
path "pki/sign/internal" {
  capabilities = ["create", "update"]
}
