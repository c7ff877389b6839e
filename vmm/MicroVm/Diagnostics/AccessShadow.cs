using MicroVm.Bus;

namespace MicroVm.Diagnostics;

/// <summary>What a guest wrote to the registers of one block, followed from its accesses alone: enough to say which of several registers at one offset
/// an access meant (a UART's data or its divisor).</summary>
internal sealed class AccessShadow(BlockInfo block)
{
    private readonly Dictionary<RegisterInfo, ulong> _written = new(ReferenceEqualityComparer.Instance);

    /// <summary>The register that the access means, given what was written before; then notes the access.</summary>
    internal RegisterInfo? Follow(in AccessTrace.Access access)
    {
        // A refusal for its state names the register whose guard failed.
        RegisterInfo? register = access.Status == IoStatus.WrongState
            ? block.Find(access.Offset, access.Write)
            : block.Find(access.Offset, access.Write, Possible);
        if (register is not null && access.Write && access.Status == IoStatus.Ok) _written[register] = access.Value;
        return register;
    }

    // Guards are fields or their opposites joined by "and". A field of which nothing is known could be either.
    private bool Possible(RegisterInfo register)
    {
        if (register.Guard is not { } guard) return true;
        foreach (string term in guard.Split(" and "))
        {
            bool negated = term.StartsWith("not ", StringComparison.Ordinal);
            if (FieldValue(negated ? term[4..] : term) is { } set && set == negated) return false;
        }
        return true;
    }

    private bool? FieldValue(string name)
    {
        foreach (RegisterInfo register in block.Registers)
        {
            foreach (FieldInfo field in register.Fields)
            {
                if (field.Name != name) continue;
                ulong value = _written.TryGetValue(register, out ulong written) ? written : register.Reset;
                return (value >> field.Low & 1) != 0;
            }
        }
        return null;
    }
}
