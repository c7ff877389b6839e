using Xunit.Abstractions;
using Xunit.Sdk;

namespace MicroVm.Tests.Shared;

/// <summary>A test that needs a KVM on which tiny guests run.</summary>
/// <remarks>
/// <c>./test</c> runs these on the host or, where the host has no usable KVM, inside the lab; the trait <c>needs=kvm</c>
/// tells them from the others. Run by hand on a host without KVM they are skipped.
/// </remarks>
[AttributeUsage(AttributeTargets.Method)]
[TraitDiscoverer("MicroVm.Tests.Shared.KvmTraitDiscoverer", "MicroVm.Tests.Shared")]
public sealed class KvmFactAttribute : FactAttribute, ITraitAttribute
{
    public KvmFactAttribute() => Skip = HostKvm.WhyNot;
}

/// <summary>The same for a test with data.</summary>
[AttributeUsage(AttributeTargets.Method)]
[TraitDiscoverer("MicroVm.Tests.Shared.KvmTraitDiscoverer", "MicroVm.Tests.Shared")]
public sealed class KvmTheoryAttribute : TheoryAttribute, ITraitAttribute
{
    public KvmTheoryAttribute() => Skip = HostKvm.WhyNot;
}

/// <summary>Gives both attributes their trait.</summary>
public sealed class KvmTraitDiscoverer : ITraitDiscoverer
{
    /// <inheritdoc/>
    public IEnumerable<KeyValuePair<string, string>> GetTraits(IAttributeInfo traitAttribute) => [new("needs", "kvm")];
}

/// <summary>What this host's KVM is good for.</summary>
public static class HostKvm
{
    private const string Device = "/dev/kvm";

    /// <summary>Why no machine can be made here, or null.</summary>
    public static string? WhyNot { get; } = Ask();

    private static string? Ask()
    {
        try
        {
            using FileStream device = new(Device, FileMode.Open, FileAccess.ReadWrite);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{Device} cannot be used: {e.Message}";
        }
    }
}
