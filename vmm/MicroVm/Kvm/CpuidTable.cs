using System.Numerics;

namespace MicroVm.Kvm;

/// <summary>The CPUID leaves of one vCPU: what KVM supports, with this machine's topology of one package, N cores, one thread each.</summary>
/// <remarks>Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.</remarks>
internal ref struct CpuidTable
{
    internal const int MaxEntries = 128;

    private const uint Features = 1, Caches = 4, Topology = 0xb, TopologyV2 = 0x1f, AmdCores = 0x8000_0008, AmdCaches = 0x8000_001d, AmdTopology = 0x8000_001e;
    private const uint ExtendedFeatures = 0x8000_0001, SvmFeatures = 0x8000_000a, Vmx = 1u << 5, Svm = 1u << 2;
    private const uint X2Apic = 1u << 21, TscDeadline = 1u << 24, Hypervisor = 1u << 31, HyperThreading = 1u << 28;

    private readonly Span<KvmAbi.CpuidEntry> _entries;
    private readonly int _cpus;
    private readonly int _coreBits;
    private readonly bool _tscDeadline;

    /// <param name="entries">Room for <see cref="MaxEntries"/> leaves, the first <paramref name="count"/> of them KVM's.</param>
    /// <param name="count">Leaves that KVM supports.</param>
    /// <param name="cpus">vCPUs of the machine.</param>
    /// <param name="tscDeadline">KVM has the TSC-deadline timer, which it does not list among the leaves.</param>
    /// <param name="nested">The guest may have guests of its own.</param>
    internal CpuidTable(Span<KvmAbi.CpuidEntry> entries, int count, int cpus, bool tscDeadline, bool nested)
    {
        _cpus = cpus;
        _coreBits = cpus <= 1 ? 0 : BitOperations.Log2((uint)cpus - 1) + 1;
        _tscDeadline = tscDeadline;
        _entries = entries[..ReplaceTopology(entries, count)];
        if (!nested) HideVirtualization(_entries);
    }

    // VMX and SVM of a guest are the largest part of KVM that a guest reaches, and few guests want them.
    private static void HideVirtualization(Span<KvmAbi.CpuidEntry> entries)
    {
        foreach (ref KvmAbi.CpuidEntry e in entries)
        {
            switch (e.Function)
            {
                case Features: e.Ecx &= ~Vmx; break;
                case ExtendedFeatures: e.Ecx &= ~Svm; break;
                case SvmFeatures: e.Eax = e.Ebx = e.Ecx = e.Edx = 0; break;
            }
        }
    }

    /// <summary>A copy for vCPUs that come later, or an empty one where none can.</summary>
    internal readonly CpuidLeaves Keep(bool wanted) => new(wanted ? _entries.ToArray() : [], _cpus, _tscDeadline);

    // KVM's topology leaves are the host's, or empty: ours take their place, three levels of 0xb, and no 0x1f.
    private static int ReplaceTopology(Span<KvmAbi.CpuidEntry> entries, int count)
    {
        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (entries[i].Function is not (Topology or TopologyV2)) entries[kept++] = entries[i];
        }
        for (uint level = 0; level < 3 && kept < entries.Length; level++)
        {
            entries[kept++] = new KvmAbi.CpuidEntry { Function = Topology, Index = level, Flags = KvmAbi.CpuidSignificantIndex };
        }
        return kept;
    }

    /// <summary>Rewrites the leaves that differ between vCPUs.</summary>
    internal readonly ReadOnlySpan<KvmAbi.CpuidEntry> For(int apicId)
    {
        foreach (ref KvmAbi.CpuidEntry e in _entries)
        {
            switch (e.Function)
            {
                case Features: SetFeatures(ref e, apicId); break;
                case Caches: ShareCache(ref e, level: (int)(e.Eax >> 5) & 7); e.Eax = (e.Eax & 0x03ff_ffff) | (uint)Math.Min(_cpus - 1, 63) << 26; break;
                case Topology: SetTopology(ref e, apicId); break;
                case AmdCores: e.Ecx = (uint)_coreBits << 12 | (uint)(_cpus - 1); break;
                case AmdCaches: ShareCache(ref e, level: (int)(e.Eax >> 5) & 7); break;
                case AmdTopology: (e.Eax, e.Ebx, e.Ecx) = ((uint)apicId, (uint)apicId & 0xff, 0); break;
            }
        }
        return _entries;
    }

    private readonly void SetFeatures(ref KvmAbi.CpuidEntry e, int apicId)
    {
        e.Ebx = (e.Ebx & 0xffff) | (uint)Math.Min(_cpus, 255) << 16 | (uint)apicId << 24;
        e.Ecx |= X2Apic | Hypervisor | (_tscDeadline ? TscDeadline : 0);
        e.Edx = _cpus > 1 ? e.Edx | HyperThreading : e.Edx & ~HyperThreading;
    }

    // The last level is shared by all cores, the others belong to one core.
    private readonly void ShareCache(ref KvmAbi.CpuidEntry e, int level)
    {
        uint sharing = level >= 3 ? (1u << _coreBits) - 1 : 0;
        e.Eax = (e.Eax & ~0x03ff_c000u) | sharing << 14;
    }

    private readonly void SetTopology(ref KvmAbi.CpuidEntry e, int apicId)
    {
        const uint threadLevel = 1 << 8, coreLevel = 2 << 8;
        (e.Eax, e.Ebx, e.Ecx) = e.Index switch
        {
            0 => (0u, 1u, threadLevel),
            1 => ((uint)_coreBits, (uint)_cpus, coreLevel | 1),
            _ => (0u, 0u, e.Index),
        };
        e.Edx = (uint)apicId;
    }
}

/// <summary>Leaves that outlive their <see cref="CpuidTable"/>.</summary>
internal sealed class CpuidLeaves(KvmAbi.CpuidEntry[] entries, int cpus, bool tscDeadline)
{
    /// <summary>The table again. Its room is its own.</summary>
    internal CpuidTable Table()
    {
        Span<KvmAbi.CpuidEntry> room = new KvmAbi.CpuidEntry[CpuidTable.MaxEntries];
        entries.CopyTo(room);
        // What was hidden is hidden in the copy.
        return new CpuidTable(room, entries.Length, cpus, tscDeadline, nested: true);
    }
}
