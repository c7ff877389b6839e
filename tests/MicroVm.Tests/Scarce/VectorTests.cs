using MicroVm.Devices;
using MicroVm.Events;
using MicroVm.Interrupts;
using MicroVm.Kvm;
using MicroVm.Tests.Pci;
using MicroVm.Virtio;
using MicroVm.Virtio.Pci;
using MicroVm.Virtio.Rng;
using Xunit;

namespace MicroVm.Tests.Scarce;

/// <summary>Row R2: a driver assigns a vector for which the host has no event or no route. It reads back that it has
/// none, and nothing fails later, on whatever thread.</summary>
public sealed class VectorTests
{
    private const ulong None = (ushort)MsixConst.NoVector;

    [Fact]
    public void R2_a_vector_without_a_descriptor_reads_as_none() => Child.Run(WithoutDescriptors);

    [Fact]
    public void R2_a_vector_without_a_route_reads_as_none()
    {
        using Driver driver = new();
        List<InterruptLine> all = [];
        MicroVmException refused;
        while (true)
        {
            try
            {
                all.Add(driver.Guest.Router.Allocate());
            }
            catch (MicroVmException e)
            {
                refused = e;
                break;
            }
        }
        Assert.Contains("too many interrupts", refused.Message, StringComparison.Ordinal);
        Assert.Equal(None, driver.Assign(0));
        driver.Function.Msix.Raise(0);
        driver.Guest.Router.Release(all[0]);
        Assert.Equal(0ul, driver.Assign(0));
        for (int i = 1; i < all.Count; i++) driver.Guest.Router.Release(all[i]);
    }

    private static void WithoutDescriptors(string none)
    {
        using Driver driver = new();
        int gsis = driver.Guest.Router.GsiCount;
        for (int left = HostDescriptors.Reserve; left >= 0; left -= HostDescriptors.Reserve / 4)
        {
            using Scarcity scarcity = Scarcity.OfDescriptors(left);
            Assert.Equal(None, driver.Assign(0));
            driver.Function.Msix.Raise(0);
            Assert.Null(driver.Function.Msix.Event(0));
        }
        using (Scarcity.OfDescriptors(HostDescriptors.Reserve + 1)) Assert.Equal(0ul, driver.Assign(0));
        // The numbers of the failures are used again.
        Assert.Equal(gsis + 1, driver.Guest.Router.GsiCount);
    }

    private sealed class Driver : IDisposable
    {
        private readonly EventLoop _loop = new("test", ThreadOwner.Process);
        private readonly ulong _bar;

        internal Driver()
        {
            Function = Guest.Plug(new VirtioRngDevice(_loop));
            _bar = Guest.Enable(Function);
        }

        internal PciGuest Guest { get; } = new(fake: new FakeKvm());

        internal VirtioPciFunction Function { get; }

        /// <summary>Asks for a vector for queue 0 and answers what is read back.</summary>
        internal ulong Assign(uint vector)
        {
            ulong at = _bar + Array.Find(VirtioPciCommon.Catalog.Registers, static r => r.Name == "QueueVector")!.Offset;
            Guest.Write(at, 2, vector);
            return Guest.Read(at, 2);
        }

        public void Dispose()
        {
            Guest.Dispose();
            _loop.Dispose();
        }
    }
}
